// What commit(), decommit() and zero() do to a range's contents and to its charge.

#include "os_memory_test.h"
#include "process_memory.h"
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

namespace lazyshadow::test {

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

void prefaultMakesPages() {
  const Mapped all(4 * kMiB, Access::None);
  checkOk(os::commit(all.range), "commit()");
  const Range written = all.part(0, kMiB);
  fill(written, 0x3c);
  const Range fresh = all.part(2 * kMiB, kMiB);
  os::prefault(all.part(0, 3 * kMiB));
  // Where the system cannot, pages are made when they are written, as ever.
  if (os::offers(Backing::MemoryFile, page())) {
    checkEqual(usageOf(fresh).resident, fresh.size, "what is prefaulted is resident");
  }
  checkEqual(usageOf(all.part(3 * kMiB, kMiB)).resident, 0, "what lies behind is not");
  check(holds(written, 0x3c), "what was written is kept");
  check(readsZero(fresh), "what is fresh reads as zeros");
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
  const Range both = freeRoom(2 * granularity());
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

}  // namespace lazyshadow::test
