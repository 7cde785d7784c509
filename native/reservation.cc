#include "reservation.h"

#include <atomic>
#include <map>

namespace lazyshadow {

namespace {

/// Every live reservation of the process by its first address, so that other threads can attach.
class Registry {
 public:
  static Registry& instance() {
    // Never destroyed: worker threads may outlive static destruction.
    static Registry* const registry = new Registry;
    return *registry;
  }

  void add(uintptr_t address, const std::shared_ptr<Reservation>& reservation) {
    const std::lock_guard<std::mutex> lock(mutex_);
    live_[address] = reservation;
  }

  void remove(uintptr_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = live_.find(address);
    if (it != live_.end() && it->second.expired()) live_.erase(it);
  }

  std::shared_ptr<Reservation> find(uintptr_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = live_.find(address);
    return it == live_.end() ? nullptr : it->second.lock();
  }

 private:
  std::mutex mutex_;
  std::map<uintptr_t, std::weak_ptr<Reservation>> live_;
};

/// Islands of committed pages in the whole process: the system's limit on mappings is the process's.
std::atomic<size_t> islandsOfProcess{0};

/// Bytes that the system would neither give nor take back. Only ever grows; zero on every system seen.
std::atomic<size_t> leakedBytes{0};

}  // namespace

std::shared_ptr<Reservation> Reservation::reserve(uintptr_t wanted, size_t size, os::Placement placement,
                                                  os::Access access) {
  uintptr_t start = 0;
  const os::Status status = os::map(wanted, size, placement, access, &start);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, Range{wanted, size}, status);
  std::shared_ptr<Reservation> reservation(new Reservation(Range{start, size}, access));
  Registry::instance().add(start, reservation);
  return reservation;
}

std::shared_ptr<Reservation> Reservation::find(uintptr_t address) {
  std::shared_ptr<Reservation> found = Registry::instance().find(address);
  if (!found) throw MemoryError(MemoryError::Kind::NotFound, Range{address, 0});
  return found;
}

Reservation::Reservation(Range range, os::Access access) : range_(range) {
  if (access == os::Access::ReadWriteUncharged) committed_.insert(range);
  countIslands();
}

Reservation::~Reservation() {
  committed_.clear();
  countIslands();
  // A refusal leaves addresses behind and nothing else; there is nobody left to tell.
  if (!os::unmap(range_).ok() && !os::decommit(range_).ok()) leakedBytes += range_.size;
  Registry::instance().remove(range_.start);
}

void Reservation::requireInside(Range range) const {
  if (!range_.contains(range)) throw MemoryError(MemoryError::Kind::OutOfRange, range);
}

void Reservation::countIslands() {
  islandsOfProcess += committed_.count() - countedIslands_;
  countedIslands_ = committed_.count();
}

size_t Reservation::commit(Range pages, Shortage shortage, std::vector<Range>* fresh) {
  requireInside(pages);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (committed_.contains(pages)) return 0;
  gaps_.clear();
  committed_.gapsIn(pages, &gaps_);
  const size_t before = committed_.totalBytes();
  const size_t freshBefore = fresh == nullptr ? 0 : fresh->size();
  size_t done = 0;
  try {
    for (; done < gaps_.size(); ++done) commitGap(gaps_[done], shortage, fresh);
  } catch (const MemoryError&) {
    while (done-- > 0) {
      // What cannot be taken back stays committed and stays counted.
      if (os::decommit(gaps_[done]).ok()) committed_.erase(gaps_[done]);
    }
    if (fresh != nullptr) fresh->resize(freshBefore);
    countIslands();
    throw;
  }
  countIslands();
  return committed_.totalBytes() - before;
}

void Reservation::commitGap(Range gap, Shortage shortage, std::vector<Range>* fresh) {
  Range wanted = gap;
  if (shortage == Shortage::MergeIslands && islandsOfProcess >= os::islandLimit())
    wanted = towardsNeighbour(gap);
  os::Status status = os::commit(wanted);
  if (!status.ok() && shortage == Shortage::MergeIslands && wanted.size == gap.size) {
    const Range merged = towardsNeighbour(gap);
    if (merged.size > gap.size) {
      wanted = merged;
      status = os::commit(wanted);
    }
  }
  if (!status.ok()) {
    // The system may have committed a part before it refused the rest. If that cannot be taken back either,
    // the part is charged but counts as not committed: nothing may rely on access to it.
    if (!os::decommit(wanted).ok()) leakedBytes += wanted.size;
    throw MemoryError(MemoryError::Kind::OsRefused, gap, status);
  }
  committed_.insert(wanted);
  if (fresh != nullptr) fresh->push_back(wanted);
  if (wanted.size > gap.size) {
    merges_.islands += 1;
    merges_.bytes += wanted.size - gap.size;
  }
}

/// The gap widened to the nearest committed range: the two become one mapping, and no new one is needed.
Range Reservation::towardsNeighbour(Range gap) const {
  const std::optional<Range> below = committed_.before(gap.start);
  const std::optional<Range> above = committed_.after(gap.end());
  const bool belowIsNearer = below && (!above || gap.start - below->end() <= above->start - gap.end());
  if (belowIsNearer) return Range::between(below->end(), gap.end());
  if (above) return Range::between(gap.start, above->start);
  return gap;
}

size_t Reservation::decommit(Range pages, Owner owner) {
  requireInside(pages);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!committed_.overlaps(pages)) return 0;
  requireNoForeignViewLocked(pages, owner);
  const os::Status status = os::decommit(pages);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, pages, status);
  const size_t before = committed_.totalBytes();
  committed_.erase(pages);
  countIslands();
  return before - committed_.totalBytes();
}

void Reservation::zero(Range pages) {
  requireInside(pages);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Range> parts;
  committed_.partsIn(pages, &parts);
  for (const Range part : parts) {
    const os::Status status = os::zero(part);
    if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, part, status);
  }
}

bool Reservation::isCommitted(Range range) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return committed_.contains(range);
}

std::vector<Range> Reservation::committed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return committed_.ranges();
}

void Reservation::partsCommitted(Range range, std::vector<Range>* parts) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  committed_.partsIn(range, parts);
}

size_t Reservation::committedBytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return committed_.totalBytes();
}

Reservation::Merges Reservation::merges() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return merges_;
}

void Reservation::addView(Range range, Owner owner) {
  requireInside(range);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!committed_.contains(range)) throw MemoryError(MemoryError::Kind::NotCommitted, range);
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

void Reservation::requireNoForeignView(Range range, Owner owner) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  requireNoForeignViewLocked(range, owner);
}

void Reservation::requireNoForeignViewLocked(Range range, Owner owner) const {
  for (const View& view : views_) {
    if (view.owner != owner && view.range.overlaps(range))
      throw MemoryError(MemoryError::Kind::InUse, view.range);
  }
}

}  // namespace lazyshadow
