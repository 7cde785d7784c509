#include "address_windows.h"

#include <algorithm>

namespace lazyshadow {

Napi::ArrayBuffer AddressWindows::at(Napi::Env env, Range range) {
  const Key key{range.start, range.size};
  const auto known = windows_.find(key);
  if (known != windows_.end()) {
    const Napi::ArrayBuffer buffer = known->second.Value();
    if (!buffer.IsEmpty()) return buffer;
  }
  if (windows_.size() >= nextDrop_) dropCollected();
  const auto buffer = Napi::ArrayBuffer::New(env, reinterpret_cast<void*>(range.start), range.size);
  windows_[key] = Napi::Weak(buffer);
  return buffer;
}

/// Forgets windows that the collector has found, so that shadows at ever new addresses do not add up.
void AddressWindows::dropCollected() {
  for (auto it = windows_.begin(); it != windows_.end();) {
    it = it->second.Value().IsEmpty() ? windows_.erase(it) : std::next(it);
  }
  nextDrop_ = std::max(nextDrop_, windows_.size() * 2);
}

}  // namespace lazyshadow
