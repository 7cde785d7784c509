// What happens at a limit of the system: of mappings, of the commit charge, of ulimit -d; and how a failure
// is told.

#include <cerrno>
#include <cstdio>
#include <string>

#include "os_memory_test.h"
#include "process_memory.h"
#if !defined(_WIN32)
#include <sys/resource.h>
#endif

namespace lazyshadow::test {

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

}  // namespace lazyshadow::test
