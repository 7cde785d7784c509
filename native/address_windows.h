// Windows: ArrayBuffers over addresses, whatever memory is there; who uses one knows what it may touch.
//
// A window belongs to its addresses and not to a shadow, and is neither detached nor does it keep memory: the
// page states of the shadow that has the addresses at the time say what may be reached (shadow_map.h). So one
// window serves a shadow after another. That is worth it because V8 counts a window's length as memory in
// use: each new window of a gigabyte costs a collection (views.h), and detaching any buffer at all costs
// every typed array of the process a check at each access from then on.
//
// Held weakly: a window that no script refers to lasts until the next collection. Not thread-safe: belongs to
// one JavaScript environment.

#ifndef LAZYSHADOW_ADDRESS_WINDOWS_H_
#define LAZYSHADOW_ADDRESS_WINDOWS_H_

#include <napi.h>

#include <map>
#include <utility>

#include "range.h"

namespace lazyshadow {

class AddressWindows {
 public:
  /// The window over exactly this range, which is not empty.
  Napi::ArrayBuffer at(Napi::Env env, Range range);

 private:
  using Key = std::pair<uintptr_t, size_t>;  // first address, size

  void dropCollected();

  std::map<Key, Napi::Reference<Napi::ArrayBuffer>> windows_;
  size_t nextDrop_ = 64;  // windows; from there on, whenever their number has doubled
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_ADDRESS_WINDOWS_H_
