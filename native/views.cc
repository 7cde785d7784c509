#include "views.h"

#include <utility>

namespace lazyshadow {

/// What the collector hands back when a view dies: the list may be gone by then, and the view detached.
struct ViewList::Ticket {
  std::weak_ptr<ViewList> list;
  std::weak_ptr<View> view;
};

Napi::ArrayBuffer ViewList::open(Napi::Env env, const std::shared_ptr<ViewList>& list, Range range,
                                 std::function<void()> gone) {
  auto view = std::make_shared<View>();
  view->range = range;
  auto ticket = std::make_unique<Ticket>(Ticket{list, view});
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, reinterpret_cast<void*>(range.start), range.size,
      [](Napi::Env, void*, Ticket* hint) {
        const std::unique_ptr<Ticket> owned(hint);
        const std::shared_ptr<View> collected = owned->view.lock();
        if (!collected) return;
        if (const std::shared_ptr<ViewList> owner = owned->list.lock()) owner->views_.remove(collected);
        if (collected->gone) std::exchange(collected->gone, nullptr)();
      },
      ticket.get());
  (void)ticket.release();  // the collector's now
  view->buffer = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 0);
  view->gone = std::move(gone);
  list->views_.push_back(std::move(view));
  return buffer;
}

template <typename Wanted>
void ViewList::detachIf(Napi::Env env, const Wanted& wanted) {
  const Napi::HandleScope scope(env);
  for (auto it = views_.begin(); it != views_.end();) {
    const std::shared_ptr<View> view = *it;
    if (!wanted(*view)) {
      ++it;
      continue;
    }
    it = views_.erase(it);
    Napi::ArrayBuffer buffer = view->buffer.Value();
    if (!buffer.IsEmpty() && !buffer.IsDetached()) buffer.Detach();
    if (view->gone) std::exchange(view->gone, nullptr)();
  }
}

void ViewList::detach(Napi::Env env, Range range) {
  detachIf(env, [range](const View& view) { return view.range.overlaps(range); });
}

void ViewList::detachAll(Napi::Env env) {
  detachIf(env, [](const View&) { return true; });
}

}  // namespace lazyshadow
