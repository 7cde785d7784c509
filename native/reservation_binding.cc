// Reservation as a JavaScript class: one handle on a Reservation, with the views opened through it.

#include "arguments.h"
#include "bindings.h"
#include "reservation.h"
#include "views.h"

namespace lazyshadow {

namespace {

/// How `new Reservation(address, sizeBytes, mode, isPrivate)` comes by its memory; lib/native/addon.ts has
/// the same numbers.
enum class Mode : uint64_t { Anywhere = 0, Preferred = 1, Exact = 2, Attach = 3 };

os::Placement placementOf(Mode mode) {
  switch (mode) {
    case Mode::Preferred:
      return os::Placement::Preferred;
    case Mode::Exact:
      return os::Placement::Exact;
    default:
      return os::Placement::Anywhere;
  }
}

class ReservationHandle : public Napi::ObjectWrap<ReservationHandle> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Reservation",
                       {
                           InstanceMethod<&ReservationHandle::commit>("commit"),
                           InstanceMethod<&ReservationHandle::decommit>("decommit"),
                           InstanceMethod<&ReservationHandle::purge>("purge"),
                           InstanceMethod<&ReservationHandle::bytes>("bytes"),
                           InstanceMethod<&ReservationHandle::committedRanges>("committedRanges"),
                           InstanceMethod<&ReservationHandle::stats>("stats"),
                           InstanceMethod<&ReservationHandle::release>("release"),
                           InstanceAccessor<&ReservationHandle::address>("address"),
                           InstanceAccessor<&ReservationHandle::sizeBytes>("sizeBytes"),
                       });
  }

  explicit ReservationHandle(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ReservationHandle>(info), views_(std::make_shared<ViewList>()) {
    const uint64_t address = wholeNumber(info[0]);
    const uint64_t size = wholeNumber(info[1]);
    const Mode mode = static_cast<Mode>(wholeNumber(info[2]));
    const auto sharing = info[3].ToBoolean() ? Reservation::Sharing::Private : Reservation::Sharing::Shared;
    guarded(info.Env(), [&] {
      reservation_ = mode == Mode::Attach ? Reservation::find(address)
                                          : Reservation::reserve(address, size, placementOf(mode), sharing);
    });
    range_ = reservation_->range();
  }

 private:
  Reservation& live(const Napi::CallbackInfo& info) const {
    if (!reservation_) throw toJavaScript(info.Env(), MemoryError(MemoryError::Kind::Released, range_));
    return *reservation_;
  }

  size_t page() const { return os::geometry().pageSize; }

  Napi::Value commit(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    const bool isWrittenSoon = info[2].ToBoolean();
    Reservation& reservation = live(info);
    return guarded(info.Env(), [&] {
      requireInside(range);
      const Range pages = range.outward(page());
      const size_t bytes = reservation.commit(pages);
      if (isWrittenSoon) os::prefault(pages);
      return number(info.Env(), bytes);
    });
  }

  Napi::Value decommit(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    Reservation& reservation = live(info);
    return guarded(info.Env(), [&] {
      requireInside(range);
      const Range pages = range.inward(page());
      if (pages.empty()) return number(info.Env(), 0);
      std::vector<ViewList::End> ends;
      const auto check = [&] {
        if (views_->hasLost(info.Env(), pages)) throw MemoryError(MemoryError::Kind::InUse, pages);
      };
      const auto detach = [&] { ends = views_->detach(info.Env(), pages); };
      const size_t bytes = reservation.decommit(pages, owner_, check, detach);
      for (const ViewList::End& end : ends) end();
      return number(info.Env(), bytes);
    });
  }

  void purge(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    Reservation& reservation = live(info);
    guarded(info.Env(), [&] {
      requireInside(range);
      const Range pages = range.inward(page());
      if (!pages.empty()) reservation.zero(pages);
    });
  }

  Napi::Value bytes(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    live(info);
    const Napi::ArrayBuffer known = views_->known(range);
    if (!known.IsEmpty()) return known;
    return guarded(info.Env(), [&] {
      reservation_->addView(range, owner_);
      const auto end = [reservation = reservation_, range, owner = owner_] {
        reservation->removeView(range, owner);
      };
      try {
        return Napi::Value(ViewList::open(info.Env(), views_, range, end));
      } catch (...) {
        end();
        throw;
      }
    });
  }

  Napi::Value committedRanges(const Napi::CallbackInfo& info) {
    return rangeList(info.Env(), live(info).committed());
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    Reservation& reservation = live(info);
    return guarded(info.Env(), [&] {
      const Reservation::Stats stats = reservation.stats();
      Napi::Object object = Napi::Object::New(info.Env());
      object.Set("reservedBytes", number(info.Env(), range_.size));
      object.Set("committedBytes", number(info.Env(), stats.committed));
      object.Set("osCommittedBytes", number(info.Env(), stats.usage.committed));
      object.Set("residentBytes", number(info.Env(), stats.usage.resident));
      return object;
    });
  }

  void release(const Napi::CallbackInfo& info) {
    if (!reservation_) return;
    views_->close(info.Env());
    reservation_.reset();
  }

  Napi::Value address(const Napi::CallbackInfo& info) { return number(info.Env(), range_.start); }
  Napi::Value sizeBytes(const Napi::CallbackInfo& info) { return number(info.Env(), range_.size); }

  /// Before rounding, so that a range cannot be rounded into the reservation.
  void requireInside(Range range) const {
    if (!range_.contains(range)) throw MemoryError(MemoryError::Kind::OutOfRange, range);
  }

  Range range_;
  std::shared_ptr<Reservation> reservation_;  // empty once released
  const Reservation::Owner owner_ = Reservation::newOwner();
  std::shared_ptr<ViewList> views_;
};

}  // namespace

void exportReservation(Napi::Env env, Napi::Object exports) {
  exports.Set("Reservation", ReservationHandle::define(env));
}

}  // namespace lazyshadow
