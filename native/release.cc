#include "release.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <vector>

#include "os_memory.h"

namespace lazyshadow {

namespace {

/// What the system refused to take back.
class Refused {
 public:
  static Refused& instance() {
    // Never destroyed: worker threads may outlive static destruction.
    static Refused* const refused = new Refused;
    return *refused;
  }

  void add(Range range) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      ranges_.push_back(range);
    } catch (const std::bad_alloc&) {
      return;  // neither memory nor mappings are left: these addresses stay taken
    }
    any_ = true;
  }

  void offer() noexcept {
    if (!any_) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto taken = [](Range range) { return os::unmap(range).ok(); };
    ranges_.erase(std::remove_if(ranges_.begin(), ranges_.end(), taken), ranges_.end());
    any_ = !ranges_.empty();
  }

 private:
  std::atomic<bool> any_{false};
  std::mutex mutex_;
  std::vector<Range> ranges_;
};

}  // namespace

void release(Range range) noexcept {
  releaseRefused();
  if (os::unmap(range).ok()) return;
  (void)os::decommit(range).ok();  // the addresses later, but the memory now, if it can be had
  Refused::instance().add(range);
}

void releaseRefused() noexcept {
  Refused::instance().offer();
}

}  // namespace lazyshadow
