// Several threads at once on reservations and shadow maps, without Node, which ThreadSanitizer cannot watch.
//
//     threads_test [--seed N] [--seconds N]
//
// With --seconds it goes on with the next seeds until the time is up.
//
// What a thread finds is checked against what it did itself: each has bytes, or a part of the application, of
// its own, on pages that it shares with the others. Exits 0 and prints the number of checks if all hold;
// otherwise a line for each that does not, and exits 1.

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

#include "checks.h"
#include "fault_injection.h"
#include "reservation.h"
#include "shadow_map.h"

namespace os = lazyshadow::os;
using lazyshadow::MemoryError;
using lazyshadow::Policy;
using lazyshadow::Range;
using lazyshadow::RangeSet;
using lazyshadow::Reservation;
using lazyshadow::ShadowMap;
using lazyshadow::test::check;
using lazyshadow::test::checkEqual;
using lazyshadow::test::checkOk;

namespace {

constexpr size_t kThreads = 4;
/// Steps of each thread in each part of the test.
constexpr size_t kRounds = 200;
constexpr size_t kMiB = size_t{1} << 20;

size_t page() {
  return os::geometry().pageSize;
}

/// A linear congruential generator (Knuth's constants): every run with a seed does the same in each thread.
class Random {
 public:
  Random(uint64_t seed, size_t thread) : state_(seed * kThreads + thread) { below(1); }
  size_t below(size_t end) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state_ >> 33) % end;
  }
  /// Units of a range, at least one.
  Range part(Range all, size_t unit) {
    const size_t units = all.size / unit;
    const size_t first = below(units);
    return Range{all.start + first * unit, (1 + below(units - first)) * unit};
  }

 private:
  uint64_t state_;
};

/// Runs work(thread) in kThreads threads at once.
template <typename Work>
void together(const Work& work) {
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&work, thread] { work(thread); });
  for (std::thread& thread : threads) thread.join();
}

/// Whether an operation was done; false if it was refused for this reason. Others are failures.
template <typename Operation>
bool doneUnless(MemoryError::Kind reason, const Operation& operation, int line = __builtin_LINE()) {
  try {
    operation();
    return true;
  } catch (const MemoryError& error) {
    check(error.kind == reason, "it is refused for that reason only", line);
    return false;
  }
}

/// One thread's handle on a reservation: its views hold a byte of its own on each page.
class ReservationUser {
 public:
  ReservationUser(uintptr_t address, size_t thread)
      : reservation_(Reservation::find(address)), thread_(thread) {}

  void step(Random& random) {
    const Range all = reservation_->range();
    const Range pages = random.part(all, page());
    switch (random.below(6)) {
      case 0:
        reservation_->commit(pages);
        return;
      case 1:
        doneUnless(MemoryError::Kind::NotCommitted, [&] { view(pages); });
        return;
      case 2:
        // While another has a view of the pages, they stay.
        doneUnless(MemoryError::Kind::InUse, [&] {
          reservation_->decommit(
              pages, owner_, [] {}, [] {});
        });
        return;
      case 3: {
        const Reservation::Stats stats = reservation_->stats();
        checkEqual(stats.usage.committed, stats.committed, "the system counts what the reservation does");
        return;
      }
      case 4:
        reservation_->zero(pages);
        return;
      default:
        check(Reservation::find(all.start) == reservation_, "a live reservation is found");
    }
  }

 private:
  void view(Range pages) {
    reservation_->addView(pages, owner_);
    for (uintptr_t at = pages.start; at < pages.end(); at += page()) {
      volatile uint8_t& byte = *reinterpret_cast<uint8_t*>(at + thread_);
      uint8_t& written = written_[at];
      check(byte == written || byte == 0, "a byte is as it was written, or zeroed, or went with its page");
      byte = ++written;
    }
    reservation_->removeView(pages, owner_);
  }

  const std::shared_ptr<Reservation> reservation_;
  const size_t thread_;
  const Reservation::Owner owner_ = Reservation::newOwner();
  std::map<uintptr_t, uint8_t> written_;
};

void reservationIsShared(uint64_t seed) {
  constexpr size_t kPages = 64;
  const auto reservation =
      Reservation::reserve(0, kPages * page(), os::Placement::Anywhere, Reservation::Sharing::Shared);
  together([&](size_t thread) {
    Random random(seed, thread);
    ReservationUser user(reservation->range().start, thread);
    for (size_t round = 0; round < kRounds; ++round) user.step(random);
  });
  const Reservation::Stats stats = reservation->stats();
  checkEqual(stats.usage.committed, stats.committed, "the system counts what the reservation does");
}

/// Go's heap begins there; it is never mapped here.
constexpr uintptr_t kHeap = 0xc000000000;
/// Two segments of it.
constexpr Range kApplication{kHeap, 2 * lazyshadow::kSegmentBytes};
/// Where all threads map, and none unmaps.
constexpr Range kCommon{kHeap + 64 * kMiB, 16 * kMiB};

/// A thread's part: they lie around the border of the two segments, and neighbours share pages of shadow.
constexpr Range partOf(size_t thread) {
  constexpr size_t kPart = kMiB + 8;
  return Range{kHeap + lazyshadow::kSegmentBytes - kThreads / 2 * kPart + thread * kPart, kPart};
}

/// Addresses that are free now. Under Policy::Unreserved they are taken later, piece by piece.
uintptr_t roomFor(size_t size) {
  return Reservation::reserve(0, size, os::Placement::Anywhere, Reservation::Sharing::Private)->range().start;
}

/// Four bytes of shadow for each byte, and half a byte of metainfo, as the layout node-x4 has.
ShadowMap::Design designOf(Policy policy) {
  constexpr std::array<size_t, lazyshadow::kPlanes> kBytesPerGranule{32, 4};
  ShadowMap::Region region{kApplication, {}};
  std::vector<Range> spans;
  const size_t granules = kApplication.size >> lazyshadow::kGranuleShift;
  uintptr_t start = roomFor(granules * (kBytesPerGranule[0] + kBytesPerGranule[1]));
  for (size_t plane = 0; plane < lazyshadow::kPlanes; ++plane) {
    const size_t bytes = kBytesPerGranule[plane];
    region.planes[plane] =
        ShadowMap::Plane{bytes, start - (kHeap >> lazyshadow::kGranuleShift) * bytes, plane};
    spans.push_back(Range{start, granules * bytes});
    start = spans.back().end();
  }
  return ShadowMap::Design{policy, {region}, spans, 16 * page(), "threads_test"};
}

/// Whether a policy's memory is charged as it is committed; the others' is never charged.
bool isExact(Policy policy) {
  return policy == Policy::Lazy || policy == Policy::Touch;
}

/// One thread's handle on a shadow map, which writes shadow cells if it is a viewer.
class ShadowUser {
 public:
  enum class Role { Viewer, Mapper };

  ShadowUser(uint64_t id, size_t thread, Role role)
      : map_(ShadowMap::find(id)), isExact_(isExact(map_->design().policy)), part_(partOf(thread)) {
    if (role == Role::Viewer) viewer_.emplace(*map_);
  }

  /// @param refused whether the system may refuse
  void step(Random& random, bool refused) {
    const Range own = random.part(part_, kGranule);
    const auto attempt = [&](const auto& operation) {
      const bool done = doneUnless(MemoryError::Kind::OsRefused, operation);
      check(done || refused, "the system refuses nothing unless it is told to");
      return done;
    };
    switch (random.below(9)) {
      case 0: {
        const Range common = random.part(kCommon, kGranule);
        if (attempt([&] { map_->mapShadow(common); })) check(map_->isMapped(common), "what was mapped stays");
        return;
      }
      case 1:
      case 2:
        if (attempt([&] { map_->mapShadow(own); })) mine_.insert(own);
        checkMine(own);
        return;
      case 3:
        map_->unmapShadow(own, viewers());
        mine_.erase(own);
        cells_.erase(cells_.lower_bound(own.start), cells_.lower_bound(own.end()));
        checkMine(own);
        return;
      case 4:
      case 5:
        if (viewer_) attempt([&] { write(own, random.below(lazyshadow::kPlanes)); });
        return;
      case 6:
        if (viewer_) discard(own, random.below(lazyshadow::kPlanes));
        return;
      case 7:
        // What the system refused to take back is counted by it alone until it is offered again.
        if (!refused) checkCounts();
        check(!map_->blocks(own, 0, kMiB).empty(), "a range has blocks");
        return;
      default:
        check(!map_->claim(), "a detector claimed it before");
        check(ShadowMap::find(map_->id()) == map_, "a live map is found");
    }
  }

 private:
  static constexpr size_t kGranule = size_t{1} << lazyshadow::kGranuleShift;

  size_t viewers() const { return viewer_ ? 1 : 0; }

  void checkCounts() const {
    const ShadowMap::Stats stats = map_->stats();
    if (isExact_) checkEqual(stats.usage.committed, stats.committed, "the system counts what the map does");
  }

  void checkMine(Range own) const {
    std::vector<Range> parts;
    mine_.partsIn(own, &parts);
    size_t bytes = 0;
    for (const Range part : parts) bytes += part.size;
    checkEqual(map_->mappedBytes(own), bytes, "nobody else maps or unmaps there");
  }

  size_t bytesPerGranule(size_t plane) const {
    return map_->design().regions[0].planes[plane].bytesPerGranule;
  }
  /// Where in a window the cells of an address lie.
  size_t offsetOf(uintptr_t address, size_t plane) const {
    return (address & (lazyshadow::kSegmentBytes - 1)) / kGranule * bytesPerGranule(plane);
  }

  /// Writes the first cells of what is mapped, after a look at what is there.
  void write(Range own, size_t plane) {
    std::vector<Range> parts;
    mine_.partsIn(own, &parts);
    for (const Range part : parts) {
      const uint64_t segment = part.start >> lazyshadow::kSegmentShift;
      const size_t offset = offsetOf(part.start, plane);
      map_->touch(segment, plane, offset / page(), 1);
      const uintptr_t cell = map_->window(segment, plane).memory.start + offset;
      uint32_t& word = *reinterpret_cast<uint32_t*>(cell);
      uint32_t& written = cells_[part.start][plane];
      checkEqual(word, written, "cells hold what was written there, or zero since they were mapped");
      word = ++written;
    }
  }

  /// Discards the pages that have cells of this range alone.
  void discard(Range own, size_t plane) {
    const size_t perPage = page() / bytesPerGranule(plane) * kGranule;
    const Range whole = own.inward(perPage);
    const uint64_t segment = whole.start >> lazyshadow::kSegmentShift;
    if (whole.empty() || (whole.end() - 1) >> lazyshadow::kSegmentShift != segment) return;
    if (map_->window(segment, plane).pageCount == 0) return;
    map_->discard(segment, plane, offsetOf(whole.start, plane) / page(), whole.size / perPage, viewers());
    const auto end = cells_.lower_bound(whole.end());
    for (auto cell = cells_.lower_bound(whole.start); cell != end; ++cell) cell->second[plane] = 0;
  }

  const std::shared_ptr<ShadowMap> map_;
  const bool isExact_;
  const Range part_;
  std::optional<ShadowMap::Viewer> viewer_;
  RangeSet mine_;
  std::map<uintptr_t, std::array<uint32_t, lazyshadow::kPlanes>> cells_;
};

/// Which threads are viewers: all, one or none. Only then, if it is the one that forgets, do pages go back.
constexpr unsigned kViewers[] = {0b1111, 0b0001, 0b0000};

void shadowIsShared(Policy policy, unsigned viewers, uint64_t seed, bool refuse) {
  auto map = ShadowMap::create(designOf(policy));
  check(map->claim(), "the first claim is granted");
  together([&](size_t thread) {
    Random random(seed, thread);
    const bool isViewer = (viewers >> thread & 1) != 0;
    ShadowUser user(map->id(), thread, isViewer ? ShadowUser::Role::Viewer : ShadowUser::Role::Mapper);
    for (size_t round = 0; round < kRounds; ++round) {
      if (refuse && random.below(4) == 0) {
        // Reserve, commit, decommit, zero: the next call of any thread, or one soon after.
        os::FaultInjection::arm(os::FaultPlan{{true, true, true, true}, random.below(4), 1, ENOMEM});
      }
      user.step(random, refuse);
    }
  });
  os::FaultInjection::disarm();
  map->unmapShadow(kApplication, 0);
  const ShadowMap::Stats stats = map->stats();
  checkEqual(stats.mapped, 0, "nothing is mapped in the end");
  if (isExact(policy)) {
    checkEqual(stats.committed, 0, "everything is given back in the end");
    checkEqual(stats.usage.committed, 0, "the system has taken everything back in the end");
  }
  check(ShadowMap::leave(std::move(map)), "nobody else has a handle");
}

/// Each thread makes reservations and maps of its own and drops them, and meanwhile uses the others'.
void othersComeAndGo(uint64_t seed) {
  std::array<std::atomic<uintptr_t>, kThreads> addresses{};
  std::array<std::atomic<uint64_t>, kThreads> ids{};
  together([&](size_t thread) {
    Random random(seed, thread);
    // Fewer, since sanitizers pay for all addresses that are mapped.
    for (size_t round = 0; round < kRounds / 10; ++round) {
      const auto reservation =
          Reservation::reserve(0, 16 * page(), os::Placement::Anywhere, Reservation::Sharing::Shared);
      auto map = ShadowMap::create(designOf(Policy::Lazy));
      addresses[thread] = reservation->range().start;
      ids[thread] = map->id();
      doneUnless(MemoryError::Kind::NotFound, [&] {
        const auto other = Reservation::find(addresses[random.below(kThreads)]);
        other->commit(random.part(other->range(), page()));
      });
      doneUnless(MemoryError::Kind::NotFound, [&] {
        auto other = ShadowMap::find(ids[random.below(kThreads)]);
        other->mapShadow(partOf(thread));
        check(other->isMapped(partOf(thread)), "a map that is found can be used");
        ShadowMap::leave(std::move(other));
      });
      ShadowMap::leave(std::move(map));
    }
  });
  for (size_t thread = 0; thread < kThreads; ++thread) {
    check(!doneUnless(MemoryError::Kind::NotFound, [&] { Reservation::find(addresses[thread]); }),
          "no reservation is left");
    check(!doneUnless(MemoryError::Kind::NotFound, [&] { ShadowMap::find(ids[thread]); }), "no map is left");
  }
}

}  // namespace

int main(int count, char** arguments) {
  uint64_t seed = 1;
  std::chrono::seconds duration{0};
  for (int i = 1; i + 1 < count; i += 2) {
    const uint64_t value = std::strtoull(arguments[i + 1], nullptr, 10);
    if (std::strcmp(arguments[i], "--seed") == 0) seed = value;
    if (std::strcmp(arguments[i], "--seconds") == 0) duration = std::chrono::seconds(value);
  }
  const auto end = std::chrono::steady_clock::now() + duration;
  do {
    reservationIsShared(seed);
    for (const Policy policy : {Policy::Eager, Policy::Unreserved, Policy::Lazy, Policy::Touch}) {
      for (const unsigned viewers : kViewers) {
        for (const bool refuse : {false, true}) shadowIsShared(policy, viewers, seed, refuse);
      }
    }
    othersComeAndGo(seed);
    seed++;
  } while (lazyshadow::test::failures == 0 && std::chrono::steady_clock::now() < end);
  std::printf("%d checks, %d failed (%zu threads, last seed %" PRIu64 ")\n", lazyshadow::test::checks.load(),
              lazyshadow::test::failures.load(), kThreads, seed - 1);
  return lazyshadow::test::failures == 0 ? 0 : 1;
}
