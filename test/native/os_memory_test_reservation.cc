// Where memory is reserved, and what that costs: the geometry, map() by its placements, and firstMapping().

#include "os_memory_test.h"
#include "process_memory.h"

namespace lazyshadow::test {

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

  const Range free = freeRoom(2 * granularity());
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
  {
    const Mapped all(64 * granularity(), Access::None);
    check(firstIn(all.range) == all.range.start, "a mapping is found");
    check(firstIn(all.part(5 * page(), page())) == all.range.start + 5 * page(), "clipped to what was asked");
  }
  const Range room = freeRoom(64 * granularity());
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

}  // namespace lazyshadow::test
