// ArrayBuffers over memory that is not V8's.
//
// Views, which the public gets, lie over committed memory; windows, which lib/heap uses, over memory that may
// not be (those of a shadow are in address_windows.h). Both are detached (their length becomes 0) before
// their memory goes away on this thread's order, and keep it alive until then: each has a lease, which ends
// when the buffer is detached here, or, for a buffer whose owner is gone, when the collector has found it.
//
// A script can move a buffer's memory to a new buffer that nobody here knows of
// (ArrayBuffer.prototype.transfer, Node 22). Such memory is lost: it can neither be detached nor taken away,
// until the collector has found the new buffer. To tell a lost buffer from one that was merely dropped, its
// list holds each buffer itself, not weakly; a range that is asked for again gets the buffer that it has, so
// their number stays that of ranges.
//
// V8 counts each buffer's length as memory that a collection might free, and starts one when the count has
// grown enough. What it compares is growth since the last collection, so a window of a gigabyte costs one
// collection when it is opened and nothing after (test/native/views.test.ts). The length is not taken out
// of the count again with napi_adjust_external_memory: measured, that saves nothing, and where V8 subtracts
// the length first, as Node 24 does when a process ends, the count falls below zero and V8 ends the process.
//
// Not thread-safe: a ViewList belongs to one handle, and so to one JavaScript thread.

#ifndef LAZYSHADOW_VIEWS_H_
#define LAZYSHADOW_VIEWS_H_

#include <napi.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "range.h"

namespace lazyshadow {

class ViewList {
 public:
  /// What ends a lease. It captures what keeps the memory alive.
  using End = std::function<void()>;

  /// A new buffer over the range. `end` runs once, when its lease ends.
  static Napi::ArrayBuffer open(Napi::Env env, const std::shared_ptr<ViewList>& list, Range range, End end);

  /// The buffer that is open over exactly this range; empty if there is none that can be used.
  Napi::ArrayBuffer known(Range range) const;

  /// Whether some memory of the range is lost: see above.
  bool hasLost(Napi::Env env, Range range) const;

  /// Detaches the buffers that overlap the range. Runs no script and ends no lease: the caller does, when it
  /// holds no lock.
  [[nodiscard]] std::vector<End> detach(Napi::Env env, Range range);

  /// Detaches all that are not lost, and ends their leases.
  void close(Napi::Env env);

 private:
  struct Lease {
    End end;
  };
  struct View {
    Range range;
    Napi::Reference<Napi::ArrayBuffer> buffer;
    std::shared_ptr<Lease> lease;
  };
  struct Ticket;

  template <typename Wanted>
  std::vector<End> detachIf(Napi::Env env, const Wanted& wanted);
  void forget(uintptr_t start, const Lease& lease);

  std::multimap<uintptr_t, View> views_;  // by first address
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_VIEWS_H_
