// The mappings that this process has: Linux gives it a number (vm.max_map_count, 65 530), and a piece of
// memory that differs from its neighbours takes one. Whoever takes the last ones ends the process: V8 finds
// none for itself, and gives up.
//
// Invariant: no piece of ours is made that would leave the rest of the program fewer than kLeftForOthers, as
// far as it does not take them itself. Thread-safe.

#ifndef LAZYSHADOW_MAPPING_BUDGET_H_
#define LAZYSHADOW_MAPPING_BUDGET_H_

#include <atomic>

#include "os_memory.h"

namespace lazyshadow {

class MappingBudget {
 public:
  /// What an island in reserved memory takes: itself, and the rest behind it.
  static constexpr size_t kIsland = 2;

  /// What a fixed mapping takes: itself, and nothing behind it.
  static constexpr size_t kFixed = 1;

  /// Notes that pieces were made, or are no more.
  static void change(size_t before, size_t after, size_t mappingsOfPiece) {
    used_ += (after - before) * mappingsOfPiece;  // modulo 2^64
  }

  /// Whether pieces should be merged rather than new ones made.
  static bool crowded() { return used_.load(std::memory_order_relaxed) / kIsland >= os::islandLimit(); }

  /// Whether no further piece may be made at all. While crowded it asks the system now and then:
  /// milliseconds.
  static bool spent() {
    const size_t wanted = used_ + kIsland;
    if (!crowded() || wanted <= allowed_) return false;
    const size_t left = os::mappingsLeft();
    allowed_ = used_ + (left > kLeftForOthers ? left - kLeftForOthers : 0);
    return wanted > allowed_;
  }

 private:
  /// Node and its threads have some hundred, and a thread more takes a dozen.
  static constexpr size_t kLeftForOthers = 1024;

  static inline std::atomic<size_t> used_{0};
  /// What used_ may grow to before the system is asked again.
  static inline std::atomic<size_t> allowed_{0};
};

/// Pieces that were merged because mappings ran short, and the bytes committed only for that.
struct Merges {
  size_t islands = 0;
  size_t bytes = 0;

  /// Notes what was committed for a gap: the gap, or more.
  void note(Range gap, Range committed) {
    if (committed.size == gap.size) return;
    islands += 1;
    bytes += committed.size - gap.size;
  }
  Merges& operator+=(const Merges& other) {
    islands += other.islands;
    bytes += other.bytes;
    return *this;
  }
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_MAPPING_BUDGET_H_
