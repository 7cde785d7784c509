#include "reservation.h"

#include <atomic>

#include "registry.h"

namespace lazyshadow {

namespace {

/// The shared ones, by their first address.
using LiveReservations = Registry<uintptr_t, Reservation>;

}  // namespace

std::shared_ptr<Reservation> Reservation::reserve(uintptr_t wanted, size_t size, os::Placement placement,
                                                  Sharing sharing) {
  std::shared_ptr<Reservation> reservation(new Reservation(wanted, size, placement));
  if (sharing == Sharing::Shared) LiveReservations::instance().add(reservation->range().start, reservation);
  return reservation;
}

std::shared_ptr<Reservation> Reservation::find(uintptr_t address) {
  std::shared_ptr<Reservation> found = LiveReservations::instance().find(address);
  if (!found) throw MemoryError(MemoryError::Kind::NotFound, Range{address, 0});
  return found;
}

Reservation::Owner Reservation::newOwner() {
  static std::atomic<Owner> last{0};
  return ++last;
}

Reservation::Reservation(uintptr_t wanted, size_t size, os::Placement placement)
    : memory_(wanted, size, placement, os::Access::None) {}

Reservation::~Reservation() {
  LiveReservations::instance().remove(range().start);
}

size_t Reservation::commit(Range pages) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return memory_.commit(pages);
}

size_t Reservation::decommit(Range pages, Owner owner, const std::function<void()>& check,
                             const std::function<void()>& detach) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const View& view : views_) {
    if (view.owner != owner && view.range.overlaps(pages))
      throw MemoryError(MemoryError::Kind::InUse, view.range);
  }
  check();
  const size_t bytes = memory_.decommit(pages);
  detach();
  return bytes;
}

void Reservation::zero(Range pages) {
  const std::lock_guard<std::mutex> lock(mutex_);
  memory_.zero(pages);
}

std::vector<Range> Reservation::committed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return memory_.committed().ranges();
}

Reservation::Stats Reservation::stats() const {
  Stats stats;
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<os::Usage> usages;
  const os::Status status = os::query({range()}, &usages);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, range(), status);
  stats.usage = os::total(usages);
  stats.committed = memory_.committed().totalBytes();
  return stats;
}

void Reservation::addView(Range range, Owner owner) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!memory_.range().contains(range)) throw MemoryError(MemoryError::Kind::OutOfRange, range);
  if (!memory_.committed().contains(range)) throw MemoryError(MemoryError::Kind::NotCommitted, range);
  views_.push_back(View{range, owner});
}

void Reservation::removeView(Range range, Owner owner) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (View& view : views_) {
    if (view.owner != owner || view.range.start != range.start || view.range.size != range.size) continue;
    view = views_.back();
    views_.pop_back();
    return;
  }
}

}  // namespace lazyshadow
