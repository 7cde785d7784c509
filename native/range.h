// A range of addresses, half open: [start, start + size). Nothing here knows what the addresses are for.
//
// Invariant: start + size does not wrap; whoever builds a Range from outside input has checked that.

#ifndef LAZYSHADOW_RANGE_H_
#define LAZYSHADOW_RANGE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace lazyshadow {

static_assert(sizeof(uintptr_t) == 8, "address layouts are 64-bit");

constexpr uintptr_t roundDown(uintptr_t value, size_t powerOfTwo) {
  return value & ~(powerOfTwo - 1);
}
constexpr uintptr_t roundUp(uintptr_t value, size_t powerOfTwo) {
  return roundDown(value + powerOfTwo - 1, powerOfTwo);
}

struct Range {
  uintptr_t start = 0;
  size_t size = 0;

  static constexpr Range between(uintptr_t start, uintptr_t end) {
    return end > start ? Range{start, end - start} : Range{start, 0};
  }

  constexpr uintptr_t end() const { return start + size; }
  constexpr bool empty() const { return size == 0; }
  constexpr bool contains(Range other) const { return other.start >= start && other.end() <= end(); }
  constexpr bool overlaps(Range other) const { return start < other.end() && other.start < end(); }
  constexpr Range intersect(Range other) const {
    return between(std::max(start, other.start), std::min(end(), other.end()));
  }
  /// The smallest aligned range around this one.
  constexpr Range outward(size_t alignment) const {
    return between(roundDown(start, alignment), roundUp(end(), alignment));
  }
  /// The largest aligned range inside this one; empty if there is none.
  constexpr Range inward(size_t alignment) const {
    return between(roundUp(start, alignment), roundDown(end(), alignment));
  }
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RANGE_H_
