// A set of addresses, kept as the fewest disjoint ranges.
//
// Invariant: ranges are not empty, do not overlap and do not touch: neighbours are one range.
// Not thread-safe: the owner locks.

#ifndef LAZYSHADOW_RANGE_SET_H_
#define LAZYSHADOW_RANGE_SET_H_

#include <map>
#include <optional>
#include <vector>

#include "range.h"

namespace lazyshadow {

class RangeSet {
 public:
  void insert(Range range);
  void erase(Range range);
  void clear();

  bool contains(Range range) const;
  bool overlaps(Range range) const;

  /// The parts of `range` that are not in the set, in ascending order, appended to `gaps`.
  void gapsIn(Range range, std::vector<Range>* gaps) const;
  /// The parts of `range` that are in the set, in ascending order, appended to `parts`.
  void partsIn(Range range, std::vector<Range>* parts) const;

  /// The last range that starts below `address`, and the first that starts at or above it.
  std::optional<Range> before(uintptr_t address) const;
  std::optional<Range> after(uintptr_t address) const;

  std::vector<Range> ranges() const;
  size_t totalBytes() const { return total_; }
  size_t count() const { return ends_.size(); }

 private:
  using Ends = std::map<uintptr_t, uintptr_t>;  // start → end

  /// The first range that ends above `address`.
  Ends::const_iterator firstEndingAfter(uintptr_t address) const;

  Ends ends_;
  size_t total_ = 0;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RANGE_SET_H_
