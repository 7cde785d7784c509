// The live objects of one class by their key, so that any thread of the process can find what another made.
//
// Invariant: keeps nothing alive, and gives out nothing that is being destroyed. Thread-safe.

#ifndef LAZYSHADOW_REGISTRY_H_
#define LAZYSHADOW_REGISTRY_H_

#include <map>
#include <memory>
#include <mutex>

namespace lazyshadow {

template <typename Key, typename Object>
class Registry {
 public:
  static Registry& instance() {
    // Never destroyed: worker threads may outlive static destruction.
    static Registry* const registry = new Registry;
    return *registry;
  }

  void add(Key key, const std::shared_ptr<Object>& object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    live_[key] = object;
  }

  /// For the destructor of what has this key. Another object may have it by now, and stays.
  void remove(Key key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = live_.find(key);
    if (it != live_.end() && it->second.expired()) live_.erase(it);
  }

  /// Removes the object if its caller alone holds it; whether that is so.
  bool removeIfLast(Key key, const std::shared_ptr<Object>& object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (object.use_count() > 1) return false;
    live_.erase(key);
    return true;
  }

  /// Null if no live object has this key.
  std::shared_ptr<Object> find(Key key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = live_.find(key);
    return it == live_.end() ? nullptr : it->second.lock();
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<Object>> live_;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_REGISTRY_H_
