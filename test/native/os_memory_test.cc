// Holds the platform sources of native/ to their contract (os_memory.h, process_memory.h), without Node.
//
//     os_memory_test [--reserve BYTES] [--emulated]
//
// --reserve: 1 TiB by default; emulators want less. --emulated: another program runs this one and its memory
// is in the process's numbers.
//
// Exits 0 and prints the number of checks if all hold; otherwise a line for each that does not, and exits 1.

#include "os_memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "checks.h"
#include "process_memory.h"
#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace os = lazyshadow::os;
using lazyshadow::Range;
using lazyshadow::roundUp;
using lazyshadow::test::check;
using lazyshadow::test::checkEqual;
using lazyshadow::test::checkOk;
using os::Access;
using os::Failure;
using os::Placement;
using os::Status;

namespace {

constexpr size_t kMiB = size_t{1} << 20;

bool emulated = false;

void skip(const char* what, const char* why) {
  std::printf("skipped: %s: %s\n", what, why);
}

volatile unsigned char& byteAt(uintptr_t address) {
  return *reinterpret_cast<unsigned char*>(address);
}

/// Whether the process's charge changed by what it should, but for what this program's own allocator took.
void checkCharge(const os::ProcessMemory& before, const os::ProcessMemory& after, int64_t wanted,
                 const char* what, int line = __builtin_LINE()) {
  if (emulated || !before.commitBytes || !after.commitBytes) return;
  const auto change = static_cast<int64_t>(*after.commitBytes - *before.commitBytes);
  check(std::llabs(change - wanted) <= static_cast<int64_t>(kMiB), what, line);
}

/// Whether that byte can be read. Asked of the system, so that a "no" does not end the program.
bool readable(uintptr_t address) {
#if defined(_WIN32)
  return IsBadReadPtr(reinterpret_cast<const void*>(address), 1) == 0;
#else
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const bool written = write(ends[1], reinterpret_cast<const void*>(address), 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return written;
#endif
}

/// A mapping that ends with its scope.
class Mapped {
 public:
  Mapped(size_t size, Access access, int line = __builtin_LINE()) {
    range.size = size;
    checkOk(os::map(0, size, Placement::Anywhere, access, &range.start), "map() anywhere", line);
    if (range.start == 0) std::exit(1);
  }
  ~Mapped() { checkOk(os::unmap(range), "unmap()"); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  Range part(size_t offset, size_t size) const { return Range{range.start + offset, size}; }

  Range range;
};

os::Usage usageOf(Range range, int line = __builtin_LINE()) {
  std::vector<os::Usage> usages;
  checkOk(os::query({range}, &usages), "query()", line);
  return os::total(usages);
}

std::optional<uintptr_t> firstIn(Range range, int line = __builtin_LINE()) {
  std::optional<uintptr_t> first;
  checkOk(os::firstMapping(range, &first), "firstMapping()", line);
  return first;
}

bool readsZero(Range range) {
  for (uintptr_t at = range.start; at < range.end(); at += 512) {
    if (byteAt(at) != 0) return false;
  }
  return byteAt(range.end() - 1) == 0;
}

void fill(Range range, unsigned char value) {
  std::memset(reinterpret_cast<void*>(range.start), value, range.size);
}

bool holds(Range range, unsigned char value) {
  for (uintptr_t at = range.start; at < range.end(); ++at) {
    if (byteAt(at) != value) return false;
  }
  return true;
}

size_t page() {
  return os::geometry().pageSize;
}
size_t granularity() {
  return os::geometry().granularity;
}

/// Room for two neighbouring map() calls of one granule each, which nothing else will take: it just was ours.
Range findRoomForTwo() {
  const Mapped both(2 * granularity(), Access::None);
  return both.range;
}

void geometryIsSound() {
  const os::Geometry& geometry = os::geometry();
  check(page() >= 4096 && (page() & (page() - 1)) == 0, "the page size is a power of two");
  check(granularity() % page() == 0, "the granularity holds whole pages");
  check(geometry.addressEnd > uintptr_t{1} << 46, "there are 46 bits of addresses");
  check(reinterpret_cast<uintptr_t>(&geometry) < geometry.addressEnd, "this program lies below the end");
}

void reservationCostsNothing(size_t size) {
  os::ProcessMemory before, after;
  checkOk(os::processMemory(&before), "processMemory()");
  const Mapped all(size, Access::None);
  checkOk(os::processMemory(&after), "processMemory()");
  checkEqual(all.range.start % granularity(), 0, "a reservation begins at the granularity");
  check(after.virtualBytes + kMiB >= before.virtualBytes + size, "a reservation is virtual memory");
  checkCharge(before, after, 0, "a reservation is not charged");
  const os::Usage usage = usageOf(all.range);
  checkEqual(usage.committed, 0, "a reservation has nothing committed");
  checkEqual(usage.resident, 0, "a reservation has nothing resident");
  check(!readable(all.range.start) && !readable(all.range.end() - 1), "a reservation cannot be read");

  // The last pages work like the first.
  for (const size_t offset : {size_t{0}, size - page()}) {
    const Range last = all.part(offset, page());
    checkOk(os::commit(last), "commit() of a page at either end");
    check(readsZero(last), "committed memory reads as zeros");
    fill(last, 7);
  }
  checkEqual(usageOf(all.range).committed, 2 * page(), "two pages are committed");
  checkEqual(usageOf(all.range).resident, 2 * page(), "two pages are resident");
}

void commitIsChargedAndKeepsContents() {
  const Mapped all(64 * kMiB, Access::None);
  const Range first = all.part(4 * kMiB, 8 * kMiB);
  os::ProcessMemory before, after;
  checkOk(os::processMemory(&before), "processMemory()");
  checkOk(os::commit(first), "commit()");
  checkOk(os::processMemory(&after), "processMemory()");
  checkCharge(before, after, static_cast<int64_t>(first.size), "the process is charged, untouched");
  checkEqual(usageOf(all.range).committed, first.size, "what is committed is counted, untouched");
  check(readsZero(first), "committed memory reads as zeros");
  fill(first, 0xa5);
  checkEqual(usageOf(all.range).resident, first.size, "what is written is resident");

  checkOk(os::commit(all.part(8 * kMiB, 16 * kMiB)), "commit() that overlaps what is committed");
  checkOk(os::commit(all.part(0, 8 * kMiB)), "commit() that overlaps from below");
  check(holds(first, 0xa5), "committing again keeps the contents");
  checkEqual(usageOf(all.range).committed, 24 * kMiB, "the overlap is charged once");

  checkEqual(usageOf(all.part(6 * kMiB, kMiB)).committed, kMiB, "a part is counted alone");
  checkEqual(usageOf(all.part(6 * kMiB, kMiB)).resident, kMiB, "a part's resident pages are counted alone");
  checkEqual(usageOf(all.part(24 * kMiB, kMiB)).committed, 0, "the part behind has nothing");
  check(!readable(all.range.start + 24 * kMiB), "the part behind cannot be read");
}

void residentPagesOfALargePartAreCounted() {
  // More pages than one question to the system holds, in a part of a mapping, so that each page is asked
  // about.
  const Mapped all(256 * kMiB, Access::None);
  checkOk(os::commit(all.range), "commit() of 256 MiB");
  const Range part = all.part(page(), all.range.size - 2 * page());
  byteAt(part.start) = 1;
  byteAt(part.start + part.size / 2) = 1;
  byteAt(part.end() - 1) = 1;
  byteAt(all.range.start) = 1;
  const os::Usage usage = usageOf(part);
  checkEqual(usage.committed, part.size, "the part is committed");
  check(usage.resident >= 3 * 4096 && usage.resident <= 3 * page(), "three of its pages are resident");
}

void rangesAreAddedUp() {
  const Mapped all(64 * kMiB, Access::None);
  checkOk(os::commit(all.part(8 * kMiB, 16 * kMiB)), "commit()");
  checkOk(os::commit(all.part(32 * kMiB, 4 * kMiB)), "commit()");
  fill(all.part(8 * kMiB, 4 * kMiB), 1);
  fill(all.part(32 * kMiB, kMiB), 1);
  std::vector<os::Usage> usages;
  checkOk(os::query({}, &usages), "query() of nothing");
  checkEqual(usages.size(), 0, "nothing holds nothing");
  // Two in one mapping, one that reaches over its end, one in none, and one over several.
  checkOk(os::query({all.part(9 * kMiB, kMiB), all.part(11 * kMiB, 2 * kMiB), all.part(23 * kMiB, 2 * kMiB),
                     all.part(26 * kMiB, kMiB), all.part(30 * kMiB, 10 * kMiB)},
                    &usages),
          "query() of several ranges");
  const size_t committed[] = {1, 2, 1, 0, 4};
  const size_t resident[] = {1, 1, 0, 0, 1};
  checkEqual(usages.size(), 5, "a usage for each range");
  for (size_t i = 0; i < usages.size(); ++i) {
    checkEqual(usages[i].committed, committed[i] * kMiB, "what is committed in one of several ranges");
    checkEqual(usages[i].resident, resident[i] * kMiB, "what is resident in one of several ranges");
  }
  const os::Usage usage = os::total(usages);
  checkEqual(usage.committed, (1 + 2 + 1 + 0 + 4) * kMiB, "what is committed in several ranges");
  checkEqual(usage.resident, (1 + 1 + 0 + 0 + 1) * kMiB, "what is resident in several ranges");
}

void islandsLeaveMappingsForOthers() {
  const size_t limit = os::islandLimit();
#if defined(__linux__)
  os::SystemMemory system;
  checkOk(os::systemMemory(&system), "systemMemory()");
  check(limit > 0 && 2 * limit < system.maxMapCount.value_or(0), "islands leave mappings for others");
  const size_t left = os::mappingsLeft();
  // What reads the process's map may itself take some.
  const size_t asCounted = system.maxMapCount.value_or(0) - system.mapCount.value_or(0);
  check(left <= asCounted + 4 && asCounted <= left + 4, "mappings that are left");
  const Mapped one(3 * os::geometry().pageSize, Access::None);
  checkOk(os::commit(one.part(os::geometry().pageSize, os::geometry().pageSize)), "commit()");
  check(os::mappingsLeft() + 2 <= left, "an island takes two mappings");
#else
  checkEqual(limit, SIZE_MAX, "islands are without limit");
  checkEqual(os::mappingsLeft(), SIZE_MAX, "mappings are without limit");
#endif
  check(os::classify(os::outOfMemory()) == os::Failure::OutOfMemory, "outOfMemory() means what it says");
}

void decommitGivesBack() {
  const Mapped all(16 * kMiB, Access::None);
  checkOk(os::commit(all.range), "commit()");
  fill(all.range, 0x5a);
  os::ProcessMemory before, after;
  checkOk(os::processMemory(&before), "processMemory()");
  const Range hole = all.part(4 * kMiB, 8 * kMiB);
  checkOk(os::decommit(hole), "decommit()");
  checkOk(os::processMemory(&after), "processMemory()");
  checkCharge(before, after, -static_cast<int64_t>(hole.size), "the charge is given back");
  checkEqual(usageOf(hole).committed, 0, "nothing is committed in the hole");
  checkEqual(usageOf(hole).resident, 0, "nothing is resident in the hole");
  check(!readable(hole.start) && !readable(hole.end() - 1), "the hole cannot be read");
  check(firstIn(hole) == hole.start, "the hole stays reserved");
  check(holds(all.part(0, 4 * kMiB), 0x5a) && holds(all.part(12 * kMiB, 4 * kMiB), 0x5a),
        "what lies around the hole is kept");
  checkOk(os::decommit(all.range), "decommit() of what is partly decommitted");
  checkOk(os::decommit(all.range), "decommit() twice");
  checkOk(os::commit(all.range), "commit() after decommit()");
  check(readsZero(all.range), "what is committed again reads as zeros");
  checkEqual(usageOf(all.range).committed, all.range.size, "what is committed again is charged");
}

void verbsSpanNeighbouringMaps() {
  const Range both = findRoomForTwo();
  for (const size_t offset : {size_t{0}, granularity()}) {
    uintptr_t start = 0;
    const Status status = os::map(both.start + offset, granularity(), Placement::Exact, Access::None, &start);
    checkOk(status, "map() exactly where there is room");
    if (!status.ok()) return;
    checkEqual(start, both.start + offset, "it is where it was wanted");
  }
  // A page of each, so that the range begins and ends inside a map() call.
  const Range middle{both.start + granularity() - page(), 2 * page()};
  checkOk(os::commit(middle), "commit() across two map() calls");
  fill(middle, 3);
  checkEqual(usageOf(both).committed, middle.size, "both are charged");
  checkOk(os::zero(middle), "zero() across two map() calls");
  check(readsZero(middle), "both read as zeros");
  fill(middle, 3);
  checkOk(os::decommit(middle), "decommit() across two map() calls");
  checkEqual(usageOf(both).committed, 0, "both charges are given back");
  checkOk(os::commit(both), "commit() of all of two map() calls");
  check(readsZero(both), "both read as zeros");
  checkOk(os::unmap(both), "unmap() of two map() calls");
  check(!firstIn(both), "nothing is left of either");
}

void zeroKeepsTheCharge() {
  const Mapped all(8 * kMiB, Access::None);
  checkOk(os::commit(all.range), "commit()");
  fill(all.range, 9);
  const Range part = all.part(2 * kMiB, 4 * kMiB);
  checkOk(os::zero(part), "zero()");
#if !defined(_WIN32)
  checkEqual(usageOf(part).resident, 0, "zero() returns the pages");
#endif
  checkEqual(usageOf(all.range).committed, all.range.size, "zero() keeps the charge");
  check(readsZero(part), "the part reads as zeros");
  check(holds(all.part(0, 2 * kMiB), 9) && holds(all.part(6 * kMiB, 2 * kMiB), 9), "its neighbours are kept");
  fill(part, 4);
  check(holds(part, 4), "zeroed memory can be written");
#if !defined(_WIN32)
  const Range locked = all.part(0, page());
  if (mlock(reinterpret_cast<void*>(locked.start), locked.size) == 0) {
    checkOk(os::zero(locked), "zero() of memory that is locked");
    check(readsZero(locked), "it reads as zeros");
  } else {
    skip("zero() of memory that is locked", "it cannot be locked");
  }
#endif
}

void exactPlacementReplacesNothing() {
  const Mapped all(4 * granularity(), Access::None);
  checkOk(os::commit(all.range), "commit()");
  fill(all.range, 0x77);
  uintptr_t start = 0;
  for (const size_t offset : {size_t{0}, granularity(), 3 * granularity()}) {
    const size_t size = 2 * granularity();
    const Status status = os::map(all.range.start + offset, size, Placement::Exact, Access::None, &start);
    check(!status.ok() && os::classify(status) == Failure::AddressTaken, "what is mapped is taken");
    const Status preferred =
        os::map(all.range.start + offset, size, Placement::Preferred, Access::None, &start);
    checkOk(preferred, "map() that prefers a taken address");
    if (!preferred.ok()) continue;
    check(!Range{start, size}.overlaps(all.range), "it went elsewhere");
    checkEqual(start % granularity(), 0, "and is aligned there");
    checkOk(os::unmap(Range{start, size}), "unmap()");
  }
  check(holds(all.range, 0x77), "what was mapped is as it was");

  const Range free = findRoomForTwo();
  checkOk(os::map(free.start, free.size, Placement::Preferred, Access::None, &start), "map() that prefers");
  checkEqual(start, free.start, "a free address that is preferred is given");
  checkOk(os::unmap(Range{start, free.size}), "unmap()");
}

void impossibleAddressesAreNotOutOfMemory() {
  const uintptr_t end = os::geometry().addressEnd;
  const size_t size = 16 * granularity();
  const uintptr_t across = roundUp(end, granularity()) - 8 * granularity();
  for (const uintptr_t address : {across, roundUp(end, granularity()), uintptr_t{1} << 60}) {
    uintptr_t start = 0;
    const Status exact = os::map(address, size, Placement::Exact, Access::None, &start);
    check(!exact.ok() && os::classify(exact) == Failure::Other,
          "an impossible address is neither short nor taken");
    const Status preferred = os::map(address, size, Placement::Preferred, Access::None, &start);
    checkOk(preferred, "map() that prefers an impossible address");
    if (preferred.ok()) checkOk(os::unmap(Range{start, size}), "unmap()");
  }
  uintptr_t start = 0;
  check(!os::map(0, roundUp(end, granularity()) + granularity(), Placement::Anywhere, Access::None, &start)
             .ok(),
        "more than there are addresses is refused");
}

void firstMappingIsTheLowest() {
  Range room;
  {
    const Mapped all(64 * granularity(), Access::None);
    room = all.range;
    check(firstIn(all.range) == all.range.start, "a mapping is found");
    check(firstIn(all.part(5 * page(), page())) == all.range.start + 5 * page(), "clipped to what was asked");
  }
  check(!firstIn(room), "a free range has none");
  uintptr_t low = 0, high = 0;
  const Status placed =
      os::map(room.start + 8 * granularity(), granularity(), Placement::Exact, Access::None, &low);
  checkOk(placed, "map() exactly");
  checkOk(os::map(room.start + 32 * granularity(), granularity(), Placement::Exact, Access::None, &high),
          "map() exactly");
  if (!placed.ok()) return;
  check(firstIn(room) == low, "the lower of two is found");
  check(firstIn(Range::between(low + granularity(), room.end())) == high, "then the higher");
  check(!firstIn(Range::between(room.start, low)), "the range below has none");
  checkOk(os::unmap(Range{low, granularity()}), "unmap()");
  check(firstIn(room) == high, "what was unmapped is gone");
  checkOk(os::unmap(Range{high, granularity()}), "unmap()");
  check(!firstIn(room), "all of it");
}

void readWriteMemoryIsUsableAtOnce() {
  const Mapped all(16 * kMiB, Access::ReadWriteUncharged);
  check(readsZero(all.range), "it reads as zeros");
  fill(all.part(0, kMiB), 1);
  checkOk(os::zero(all.part(0, kMiB)), "zero()");
  check(readsZero(all.part(0, kMiB)), "it reads as zeros after zero()");
#if defined(__linux__)
  os::SystemMemory system;
  checkOk(os::systemMemory(&system), "systemMemory()");
  const bool strict = system.overcommitMode == 2;
  checkEqual(usageOf(all.range).committed, strict ? all.range.size : 0,
             "it is charged under strict overcommit only");
#else
  checkEqual(usageOf(all.range).committed, all.range.size, "it is committed");
#endif
  checkOk(os::decommit(all.part(0, kMiB)), "decommit()");
  check(!readable(all.range.start), "what is decommitted cannot be read");
  check(readable(all.range.start + kMiB), "the rest can");
}

void failureToCommitIsToldAndUndone(size_t size) {
#if defined(__APPLE__)
  skip("a commit that fails", "macOS has no commit limit");
  static_cast<void>(size);
#else
  os::SystemMemory system;
  checkOk(os::systemMemory(&system), "systemMemory()");
  if (system.overcommitMode == 1) return skip("a commit that fails", "vm.overcommit_memory is 1");
  if (system.physicalBytes * 2 > size) return skip("a commit that fails", "the reservation is too small");
  const Mapped all(size, Access::None);
  const Range kept = all.part(8 * kMiB, kMiB);
  checkOk(os::commit(kept), "commit()");
  fill(kept, 0x33);
  const Status status = os::commit(all.range);
  check(!status.ok() && os::classify(status) == Failure::OutOfMemory,
        "more than the machine has is out of memory");
  std::printf("a commit of %zu MiB: %s\n", all.range.size / kMiB, os::describe(status).c_str());
  check(holds(kept, 0x33), "what was committed is kept");
  checkOk(os::decommit(Range::between(all.range.start, kept.start)), "decommit() of what came before");
  checkOk(os::decommit(Range::between(kept.end(), all.range.end())), "decommit() of what came after");
  checkEqual(usageOf(all.range).committed, kept.size, "only what was committed before is charged");
  check(holds(kept, 0x33), "and holds what it held");
#endif
}

#if defined(__linux__)
/// A number of /proc/self/statm by its place (man 5 proc), in bytes.
uint64_t statm(int place) {
  uint64_t pages = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  for (int i = 0; i < place; ++i) {
    if (std::fscanf(file, "%" SCNu64, &pages) != 1) pages = 0;
  }
  std::fclose(file);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}
#endif

void dataLimitIsKept() {
#if defined(__linux__)
  const Mapped all(512 * kMiB, Access::None);
  const Range large = all.part(0, 256 * kMiB);
  rlimit old{};
  check(getrlimit(RLIMIT_DATA, &old) == 0, "getrlimit");
  const rlimit tight{statm(6) + 64 * kMiB, old.rlim_max};
  rlimit taken{};
  check(setrlimit(RLIMIT_DATA, &tight) == 0 && getrlimit(RLIMIT_DATA, &taken) == 0, "setrlimit");
  if (taken.rlim_cur != tight.rlim_cur) {
    return skip("a commit beyond ulimit -d", "the emulator takes no such limit");
  }
  const Status status = os::commit(large);
  check(!status.ok() && os::classify(status) == Failure::OutOfMemory, "beyond ulimit -d is out of memory");
  checkEqual(usageOf(all.range).committed, 0, "nothing was committed");
  os::SystemMemory system;
  checkOk(os::systemMemory(&system), "systemMemory()");
  check(system.dataLimitBytes == tight.rlim_cur, "the limit is told");
  check(setrlimit(RLIMIT_DATA, &old) == 0, "setrlimit");
  checkOk(os::commit(large), "commit() once the limit is gone");
  checkOk(os::systemMemory(&system), "systemMemory()");
  check(system.dataLimitBytes.has_value() == (old.rlim_cur != RLIM_INFINITY),
        "no limit is told if none is set");
#endif
}

bool within(uint64_t a, uint64_t b, double part) {
  const double difference = a > b ? static_cast<double>(a - b) : static_cast<double>(b - a);
  return difference <= part * static_cast<double>(b);
}

/// The numbers against a source that native/ does not use.
void processAndSystemNumbersArePlausible() {
  const Mapped all(64 * kMiB, Access::None);
  checkOk(os::commit(all.range), "commit()");
  fill(all.range, 1);
  os::ProcessMemory process;
  os::SystemMemory system;
  checkOk(os::processMemory(&process), "processMemory()");
  checkOk(os::systemMemory(&system), "systemMemory()");
  check(process.residentBytes >= all.range.size, "what is written is resident in the process");
  check(process.peakResidentBytes >= process.residentBytes, "the peak is not below what is resident");
#if defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  check(GlobalMemoryStatusEx(&status) != 0, "GlobalMemoryStatusEx");
  check(within(system.physicalBytes, status.ullTotalPhys, 0.01),
        "the machine's memory is GlobalMemoryStatusEx's");
  check(within(system.commitLimitBytes.value_or(0), status.ullTotalPageFile, 0.01), "so is its commit limit");
  check(process.commitBytes.value_or(0) >= all.range.size, "the process is charged for what it committed");
#else
  // Not on Windows: Wine counts what it keeps for itself as resident, but not as the program's addresses.
  check(process.virtualBytes >= process.residentBytes, "what is resident is virtual memory");
  const auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto pageSize = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  check(within(system.physicalBytes, pages * pageSize, 0.01), "the machine's memory is sysconf's");
  rusage usage{};
  check(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
#if defined(__APPLE__)
  const auto peak = static_cast<uint64_t>(usage.ru_maxrss);
#else
  const auto peak = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
#endif
  check(within(process.peakResidentBytes, peak, 0.05), "the peak is getrusage's");
#endif
#if defined(__linux__)
  check(within(process.virtualBytes, statm(1), 0.01), "virtual memory is statm's");
  check(within(process.residentBytes, statm(2), 0.1), "resident memory is statm's");
  check(system.overcommitMode && *system.overcommitMode >= 0 && *system.overcommitMode <= 2,
        "the overcommit mode");
  check(system.commitLimitBytes && system.commitTotalBytes, "the commit limit and total");
  check(
      system.maxMapCount && system.mapCount && *system.mapCount > 5 && *system.mapCount < *system.maxMapCount,
      "the mappings");
  check(process.commitBytes.value_or(0) >= all.range.size, "the process is charged for what it committed");
#endif
}

void mappingsAreCounted() {
#if defined(__linux__)
  const Mapped all(4096 * page(), Access::None);
  os::SystemMemory before, after;
  checkOk(os::systemMemory(&before), "systemMemory()");
  for (size_t i = 1; i < 4096; i += 2)
    checkOk(os::commit(all.part(i * page(), page())), "commit() of every other page");
  checkOk(os::systemMemory(&after), "systemMemory()");
  // The last island touches the reservation's end: it splits off one mapping, the others two.
  const uint64_t islands = 2048;
  check(after.mapCount.value_or(0) >= before.mapCount.value_or(0) + 2 * islands - 2,
        "each island is two mappings");
  check(usageOf(all.range).committed == islands * page(), "the islands are charged to the page");
#endif
}

void failuresHaveNames() {
#if defined(_WIN32)
  const Status limit{1455}, invalid{87}, taken{487};
  check(os::describe(limit).find("ERROR_COMMITMENT_LIMIT") == 0, "1455 by name");
#else
  const Status limit{ENOMEM}, invalid{EINVAL}, taken{EEXIST};
  check(os::describe(limit).find("ENOMEM: ") == 0, "ENOMEM by name");
#endif
  check(os::classify(limit) == Failure::OutOfMemory, "the limit is out of memory");
  check(os::classify(invalid) == Failure::Other, "an invalid argument is neither");
  check(os::classify(taken) == Failure::AddressTaken, "a taken address is taken");
  check(os::describe(Status{31999}).find("31999") != std::string::npos, "an unknown code by number");
}

}  // namespace

int main(int argc, char** argv) {
  size_t reserve = size_t{1} << 40;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--emulated") {
      emulated = true;
    } else if (argument == "--reserve" && i + 1 < argc) {
      reserve = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::printf("unknown argument: %s\n", argv[i]);
      return 2;
    }
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);

  geometryIsSound();
  reservationCostsNothing(reserve);
  commitIsChargedAndKeepsContents();
  residentPagesOfALargePartAreCounted();
  rangesAreAddedUp();
  islandsLeaveMappingsForOthers();
  decommitGivesBack();
  verbsSpanNeighbouringMaps();
  zeroKeepsTheCharge();
  exactPlacementReplacesNothing();
  impossibleAddressesAreNotOutOfMemory();
  firstMappingIsTheLowest();
  readWriteMemoryIsUsableAtOnce();
  processAndSystemNumbersArePlausible();
  mappingsAreCounted();
  failureToCommitIsToldAndUndone(reserve);
  dataLimitIsKept();
  failuresHaveNames();

  std::printf("%d checks, %d failed (pages of %zu, granularity %zu)\n", lazyshadow::test::checks.load(),
              lazyshadow::test::failures.load(), page(), granularity());
  return lazyshadow::test::failures == 0 ? 0 : 1;
}
