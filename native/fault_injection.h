// For tests: the operating system can be made to refuse, so that every way back is walked.
//
// Every function of the contract (os_memory.h, process_memory.h) asks here first. Off unless a test has armed
// it, and then it costs each of them one branch. Reached from lib/native/addon.ts, which the package does not
// export.

#ifndef LAZYSHADOW_FAULT_INJECTION_H_
#define LAZYSHADOW_FAULT_INJECTION_H_

#include <array>
#include <atomic>
#include <mutex>

#include "os_memory.h"

namespace lazyshadow::os {

/// What can be refused; lib/native/addon.ts has the same order.
enum class Verb : uint8_t { Reserve, Commit, Decommit, Zero, Release, Query };
constexpr size_t kVerbs = 6;

/// Of the calls of these verbs from now on, counted together from 0, those from `first` on are refused, so
/// many.
struct FaultPlan {
  std::array<bool, kVerbs> verbs{};
  uint64_t first = 0;
  uint64_t count = 0;
  /// errno on Unix, GetLastError() on Windows.
  int code = 0;
};

/// What a commit that is refused commits all the same, since the contract allows it: half the pages, or the
/// only one.
inline Range firstHalf(Range range) {
  return Range{range.start, roundUp(range.size / 2, geometry().pageSize)};
}

class FaultInjection {
 public:
  /// Takes the place of the plan before.
  static void arm(const FaultPlan& plan) {
    const std::lock_guard<std::mutex> lock(mutex_);
    plan_ = plan;
    calls_ = 0;
    armed_ = true;
  }

  /// Ends it. Returns how many calls of the plan's verbs there were, refused ones included.
  static uint64_t disarm() {
    const std::lock_guard<std::mutex> lock(mutex_);
    armed_ = false;
    return calls_;
  }

  /// What a verb is to answer instead of doing its work; 0 if it is to do it.
  static Status fault(Verb verb) {
    return armed_.load(std::memory_order_relaxed) ? faultOfPlan(verb) : Status{};
  }

 private:
  static Status faultOfPlan(Verb verb) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!armed_ || !plan_.verbs[static_cast<size_t>(verb)]) return Status{};
    const uint64_t call = calls_++;
    return call >= plan_.first && call - plan_.first < plan_.count ? Status{plan_.code} : Status{};
  }

  static inline std::atomic<bool> armed_{false};
  static inline std::mutex mutex_;
  static inline FaultPlan plan_;
  static inline uint64_t calls_ = 0;
};

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_FAULT_INJECTION_H_
