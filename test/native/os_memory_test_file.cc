// What a reservation whose pages are those of a memory file does: where it is offered.

#include "os_memory_test.h"
#include "process_memory.h"
#if !defined(_WIN32)
#include <sys/resource.h>
#endif

namespace lazyshadow::test {

void memoryFileIsCommittedByThePage() {
  check(os::offers(Backing::Mappings, SIZE_MAX), "mappings are offered always");
  constexpr size_t kSize = size_t{1} << 36;
  if (!os::offers(Backing::MemoryFile, kSize)) {
    return skip("memory files", "the system has none that are committed by the page");
  }
  constexpr size_t kIslands = 3000;
  const Mapped all(kSize, Access::None, Backing::MemoryFile);
  const auto island = [&](size_t i) { return all.part(i * 16 * page(), page()); };
  os::ProcessMemory before, after;
  os::SystemMemory systemBefore, systemAfter;
  checkEqual(usageOf(all.range).committed, 0, "a reservation is not charged");
  checkOk(os::systemMemory(&systemBefore), "systemMemory()");
  checkOk(os::processMemory(&before), "processMemory()");
  for (size_t i = 0; i < kIslands; ++i) {
    checkOk(os::commit(island(i), Backing::MemoryFile), "commit() of a page by itself");
  }
  checkOk(os::processMemory(&after), "processMemory()");
  checkOk(os::systemMemory(&systemAfter), "systemMemory()");
  checkCharge(before, after, static_cast<int64_t>(kIslands * page()), "the process is charged by the page");
  check(systemAfter.mapCount.value_or(0) <= systemBefore.mapCount.value_or(0) + 4, "pages take no mappings");
  const os::Usage usage = usageOf(all.range);
  checkEqual(usage.committed, kIslands * page(), "what is committed is counted");
  checkEqual(usage.resident, kIslands * page(), "and is resident");

  const Range first = all.part(0, 16 * page());
  check(readsZero(island(0)), "committed memory reads as zeros");
  fill(island(0), 7);
  checkOk(os::commit(first, Backing::MemoryFile), "commit() of what is committed in part");
  check(holds(island(0), 7), "committing again keeps the contents");
  check(readsZero(all.part(page(), 15 * page())), "the rest reads as zeros");
  checkEqual(usageOf(first).committed, first.size, "a part is counted alone");
  checkEqual(usageOf(first).resident, first.size, "a part's resident pages are counted alone");

  fill(first, 8);
  const Range hole = all.part(2 * page(), 4 * page());
  checkOk(os::zero(hole, Backing::MemoryFile), "zero()");
  check(readsZero(hole), "zeroed memory reads as zeros");
  checkEqual(usageOf(first).committed, first.size, "zero() keeps the charge");
  fill(hole, 8);
  checkOk(os::decommit(hole, Backing::MemoryFile), "decommit()");
  checkEqual(usageOf(first).committed, first.size - hole.size, "the charge is given back");
  check(holds(all.part(0, 2 * page()), 8) && holds(all.part(6 * page(), 10 * page()), 8),
        "what lies around the hole is kept");
  check(firstIn(hole) == hole.start, "the hole stays reserved");
  checkOk(os::commit(hole, Backing::MemoryFile), "commit() after decommit()");
  check(readsZero(hole), "what is committed again reads as zeros");
  const uint64_t committed = usageOf(all.range).committed;
  checkOk(os::processMemory(&before), "processMemory()");
  checkOk(os::decommit(all.range, Backing::MemoryFile), "decommit() of all");
  checkOk(os::processMemory(&after), "processMemory()");
  checkCharge(before, after, -static_cast<int64_t>(committed), "all of the charge is given back");
  checkEqual(usageOf(all.range).committed, 0, "nothing is left of it");
}

void memoryFileMayNotBeLongerThanFilesMay() {
#if !defined(_WIN32)
  if (!os::offers(Backing::MemoryFile, kMiB)) return;
  rlimit old{};
  check(getrlimit(RLIMIT_FSIZE, &old) == 0, "getrlimit");
  const rlimit tight{64 * kMiB, old.rlim_max};
  check(setrlimit(RLIMIT_FSIZE, &tight) == 0, "setrlimit");
  check(os::offers(Backing::MemoryFile, kMiB), "a file within ulimit -f is offered");
  check(!os::offers(Backing::MemoryFile, 64 * kMiB), "one that mapping it may make longer is not");
  check(setrlimit(RLIMIT_FSIZE, &old) == 0, "setrlimit");
#endif
}

}  // namespace lazyshadow::test
