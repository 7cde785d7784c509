#include "views.h"

#include <utility>

namespace lazyshadow {

/// What the collector hands back when a buffer's memory is no longer reachable; the list may be gone by then.
struct ViewList::Ticket {
  std::weak_ptr<ViewList> list;
  uintptr_t start;
  std::shared_ptr<Lease> lease;
};

Napi::ArrayBuffer ViewList::open(Napi::Env env, const std::shared_ptr<ViewList>& list, Range range, End end) {
  auto lease = std::make_shared<Lease>();
  auto ticket = std::make_unique<Ticket>(Ticket{list, range.start, lease});
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, reinterpret_cast<void*>(range.start), range.size,
      [](Napi::Env, void*, Ticket* given) {
        const std::unique_ptr<Ticket> owned(given);
        if (const std::shared_ptr<ViewList> live = owned->list.lock())
          live->forget(owned->start, *owned->lease);
        if (owned->lease->end) std::exchange(owned->lease->end, nullptr)();
      },
      ticket.get());
  (void)ticket.release();  // the collector's now
  list->views_.emplace(range.start, View{range, Napi::Persistent(buffer), lease});
  lease->end = std::move(end);
  return buffer;
}

void ViewList::forget(uintptr_t start, const Lease& lease) {
  const auto [first, last] = views_.equal_range(start);
  for (auto it = first; it != last; ++it) {
    if (it->second.lease.get() != &lease) continue;
    views_.erase(it);
    return;
  }
}

Napi::ArrayBuffer ViewList::known(Range range) const {
  const auto [first, last] = views_.equal_range(range.start);
  for (auto it = first; it != last; ++it) {
    if (it->second.range.size != range.size) continue;
    const Napi::ArrayBuffer buffer = it->second.buffer.Value();
    if (!buffer.IsDetached()) return buffer;
  }
  return Napi::ArrayBuffer();
}

bool ViewList::hasLost(Napi::Env env, Range range) const {
  const Napi::HandleScope scope(env);
  for (const auto& [start, view] : views_) {
    if (view.range.overlaps(range) && view.buffer.Value().IsDetached()) return true;
  }
  return false;
}

template <typename Wanted>
std::vector<ViewList::End> ViewList::detachIf(Napi::Env env, const Wanted& wanted) {
  const Napi::HandleScope scope(env);
  std::vector<End> ends;
  for (auto it = views_.begin(); it != views_.end();) {
    Napi::ArrayBuffer buffer = it->second.buffer.Value();
    if (!wanted(it->second) || buffer.IsDetached()) {
      ++it;
      continue;
    }
    buffer.Detach();
    if (it->second.lease->end) ends.push_back(std::exchange(it->second.lease->end, nullptr));
    it = views_.erase(it);
  }
  return ends;
}

std::vector<ViewList::End> ViewList::detach(Napi::Env env, Range range) {
  return detachIf(env, [range](const View& view) { return view.range.overlaps(range); });
}

void ViewList::close(Napi::Env env) {
  for (const End& end : detachIf(env, [](const View&) { return true; })) end();
}

}  // namespace lazyshadow
