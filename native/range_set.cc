#include "range_set.h"

#include <iterator>

namespace lazyshadow {

RangeSet::Ends::const_iterator RangeSet::firstEndingAfter(uintptr_t address) const {
  auto next = ends_.upper_bound(address);  // starts above address
  if (next != ends_.begin()) {
    auto previous = std::prev(next);
    if (previous->second > address) return previous;
  }
  return next;
}

void RangeSet::remember(Ends::iterator inserted) {
  const auto next = std::next(inserted);
  last_ = inserted;
  lastEnd_ = inserted->second;
  nextStart_ = next == ends_.end() ? kNone : next->first;
}

void RangeSet::insertAnywhere(Range range) {
  if (range.empty()) return;
  uintptr_t start = range.start;
  uintptr_t end = range.end();
  auto next = ends_.upper_bound(start);
  if (next != ends_.begin()) {
    const auto previous = std::prev(next);
    if (previous->second >= end) return remember(previous);  // all of it is there
    if (previous->second >= start) {
      start = previous->first;
      next = previous;
    }
  }
  // Everything that overlaps or touches becomes one.
  while (next != ends_.end() && next->first <= end) {
    end = std::max(end, next->second);
    total_ -= next->second - next->first;
    next = ends_.erase(next);
  }
  remember(ends_.emplace_hint(next, start, end));
  total_ += end - start;
}

void RangeSet::erase(Range range) {
  if (range.empty()) return;
  lastEnd_ = kNone;
  auto it = firstEndingAfter(range.start);
  while (it != ends_.end() && it->first < range.end()) {
    const Range old = Range::between(it->first, it->second);
    const Range cut = old.intersect(range);
    it = ends_.erase(it);
    total_ -= cut.size;
    if (old.start < cut.start) ends_.emplace_hint(it, old.start, cut.start);
    if (cut.end() < old.end()) ends_.emplace_hint(it, cut.end(), old.end());
  }
}

void RangeSet::clear() {
  ends_.clear();
  total_ = 0;
  lastEnd_ = kNone;
}

bool RangeSet::contains(Range range) const {
  if (range.empty()) return true;
  auto it = firstEndingAfter(range.start);
  return it != ends_.end() && it->first <= range.start && it->second >= range.end();
}

bool RangeSet::overlaps(Range range) const {
  if (range.empty()) return false;
  auto it = firstEndingAfter(range.start);
  return it != ends_.end() && it->first < range.end();
}

void RangeSet::gapsIn(Range range, std::vector<Range>* gaps) const {
  if (extendsLast(range)) return gaps->push_back(range);
  uintptr_t at = range.start;
  for (auto it = firstEndingAfter(range.start); it != ends_.end() && it->first < range.end(); ++it) {
    if (it->first > at) gaps->push_back(Range::between(at, it->first));
    at = it->second;
  }
  if (at < range.end()) gaps->push_back(Range::between(at, range.end()));
}

void RangeSet::partsIn(Range range, std::vector<Range>* parts) const {
  for (auto it = firstEndingAfter(range.start); it != ends_.end() && it->first < range.end(); ++it) {
    parts->push_back(Range::between(it->first, it->second).intersect(range));
  }
}

std::optional<Range> RangeSet::before(uintptr_t address) const {
  auto it = ends_.lower_bound(address);
  if (it == ends_.begin()) return std::nullopt;
  --it;
  return Range::between(it->first, it->second);
}

std::optional<Range> RangeSet::after(uintptr_t address) const {
  auto it = ends_.lower_bound(address);
  if (it == ends_.end()) return std::nullopt;
  return Range::between(it->first, it->second);
}

Range RangeSet::towardsNearest(Range gap) const {
  const std::optional<Range> below = before(gap.start);
  const std::optional<Range> above = after(gap.end());
  const bool belowIsNearer = below && (!above || gap.start - below->end() <= above->start - gap.end());
  if (belowIsNearer) return Range::between(below->end(), gap.end());
  return above ? Range::between(gap.start, above->start) : gap;
}

std::vector<Range> RangeSet::ranges() const {
  std::vector<Range> all;
  all.reserve(ends_.size());
  for (const auto& [start, end] : ends_) all.push_back(Range::between(start, end));
  return all;
}

}  // namespace lazyshadow
