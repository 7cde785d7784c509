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
  RangeSet() = default;
  RangeSet(RangeSet&&) = default;  // not copied: it remembers a place in its own map
  RangeSet& operator=(RangeSet&&) = default;

  /// Whether the range begins where the one that was inserted last ends and touches no other: what a heap
  /// that grows asks for, answered without a search.
  bool extendsLast(Range range) const {
    return range.start == lastEnd_ && range.end() < nextStart_ && !range.empty();
  }
  void insert(Range range) {
    if (!extendsLast(range)) return insertAnywhere(range);
    lastEnd_ = last_->second = range.end();
    total_ += range.size;
  }
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

  /// A range that is not in the set, widened to the nearest that is: together they are one.
  Range towardsNearest(Range gap) const;

  std::vector<Range> ranges() const;
  size_t totalBytes() const { return total_; }
  size_t count() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }

 private:
  using Ends = std::map<uintptr_t, uintptr_t>;  // start → end

  void insertAnywhere(Range range);
  void remember(Ends::iterator inserted);
  /// The first range that ends above `address`.
  Ends::const_iterator firstEndingAfter(uintptr_t address) const;

  Ends ends_;
  size_t total_ = 0;
  // The range that was inserted last, its end, and the start of the next one, as long as nothing else
  // changed.
  static constexpr uintptr_t kNone = UINTPTR_MAX;
  Ends::iterator last_;
  uintptr_t lastEnd_ = kNone;
  uintptr_t nextStart_ = kNone;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RANGE_SET_H_
