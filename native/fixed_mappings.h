// Memory mapped where it is needed, at exactly its addresses, in a span of which nothing is reserved: what
// policy unreserved has instead of ReservedMemory.
//
// Invariants: `committed()` is exactly what is mapped here, in whole units of the granularity, after failures
// too, and counts what the system would not take back; nothing that is mapped already, by us or by somebody
// else, is ever replaced. Not thread-safe: the owner (a ShadowMap) locks.

#ifndef LAZYSHADOW_FIXED_MAPPINGS_H_
#define LAZYSHADOW_FIXED_MAPPINGS_H_

#include <vector>

#include "mapping_budget.h"
#include "memory_error.h"
#include "range_set.h"

namespace lazyshadow {

class FixedMappings {
 public:
  FixedMappings() = default;
  ~FixedMappings();
  FixedMappings(const FixedMappings&) = delete;
  FixedMappings& operator=(const FixedMappings&) = delete;

  /// The addresses that are taken: no more than is mapped.
  std::vector<Range> addresses() const { return mapped_.ranges(); }
  const RangeSet& committed() const { return mapped_; }

  /// Maps what of the range is not; appends what it mapped to `fresh`, which is more than was asked for where
  /// pieces were merged. All or nothing.
  void commit(Range pages, std::vector<Range>* fresh);
  /// Takes back a piece that commit gave as fresh, and that nobody has written to.
  void forget(Range piece);
  /// Makes what is mapped of the range read as zeros, whatever the system says.
  void zero(Range pages) const;

  /// Pieces that were merged because mappings ran short.
  Merges merges() const { return merges_; }

 private:
  Range mapGap(Range gap);
  void insert(Range piece);
  void erase(Range piece);

  RangeSet mapped_;
  Merges merges_;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_FIXED_MAPPINGS_H_
