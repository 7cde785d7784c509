// ArrayBuffers over memory that is not V8's.
//
// Views, which the public gets, lie over committed memory; windows, which lib/ uses, over memory that may not
// be. Both are detached (their length becomes 0) before their memory goes away on this thread's order, and
// keep it until then.
//
// V8 counts each buffer's length as memory that a collection might free, and starts one when the count has
// grown enough. What it compares is growth since the last collection, so a window of a gigabyte costs one
// collection when it is opened and nothing after (test/native/views.test.ts). The length is not taken out of
// the count again with napi_adjust_external_memory: measured, that saves nothing, and where V8 subtracts the
// length first, as Node 24 does when a process ends, the count falls below zero and V8 ends the process.
//
// Not thread-safe: a ViewList belongs to one handle, and so to one JavaScript thread.

#ifndef LAZYSHADOW_VIEWS_H_
#define LAZYSHADOW_VIEWS_H_

#include <napi.h>

#include <functional>
#include <list>
#include <memory>

#include "range.h"

namespace lazyshadow {

class ViewList {
 public:
  /// A buffer over the range. `gone` runs once, when the buffer is detached or collected; what it captures
  /// keeps the memory alive until then.
  static Napi::ArrayBuffer open(Napi::Env env, const std::shared_ptr<ViewList>& list, Range range,
                                std::function<void()> gone);

  /// Detaches the views that overlap the range.
  void detach(Napi::Env env, Range range);
  void detachAll(Napi::Env env);

 private:
  struct View {
    Range range;
    Napi::Reference<Napi::ArrayBuffer> buffer;  // weak
    std::function<void()> gone;
  };
  struct Ticket;

  template <typename Wanted>
  void detachIf(Napi::Env env, const Wanted& wanted);

  std::list<std::shared_ptr<View>> views_;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_VIEWS_H_
