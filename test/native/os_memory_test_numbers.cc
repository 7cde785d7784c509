// What is counted: of ranges, of mappings, and of the process and the system.

#include <vector>

#include "os_memory_test.h"
#include "process_memory.h"
#if defined(_WIN32)
#include "windows_api.h"
#else
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace lazyshadow::test {

namespace {

bool within(uint64_t a, uint64_t b, double part) {
  const double difference = a > b ? static_cast<double>(a - b) : static_cast<double>(b - a);
  return difference <= part * static_cast<double>(b);
}

}  // namespace

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

}  // namespace lazyshadow::test
