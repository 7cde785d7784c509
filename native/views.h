// ArrayBuffers over memory that is not V8's.
//
// A view keeps the memory behind it alive, and is detached (its length becomes 0) before that memory goes
// away on this thread's order. V8 counts a buffer's length as memory that a collection could free; nothing of
// it could be, so the length is taken back from that count for as long as the buffer lives: memory that is
// only reserved, or seen through several views, must not drive the collector.
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
  size_t count() const { return views_.size(); }

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
