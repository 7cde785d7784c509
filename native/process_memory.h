// What the operating system says about this process's memory and about the machine's.
//
// One meaning for each field on every platform; a field is empty where the platform has no such thing. One
// source a platform implements it: process_memory_linux.cc, process_memory_darwin.cc,
// process_memory_windows.cc.

#ifndef LAZYSHADOW_PROCESS_MEMORY_H_
#define LAZYSHADOW_PROCESS_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "os_memory.h"

namespace lazyshadow::os {

using MaybeBytes = std::optional<uint64_t>;

struct ProcessMemory {
  /// Address space in use, reserved or committed: VIRT of top.
  uint64_t virtualBytes = 0;
  /// In physical memory now, and at most so far.
  uint64_t residentBytes = 0;
  uint64_t peakResidentBytes = 0;
  /// What the process is charged for against the machine's commit limit, touched or not.
  MaybeBytes commitBytes;
};

struct SystemMemory {
  uint64_t physicalBytes = 0;
  /// The machine's commit limit and what is charged against it. Without strict overcommit Linux has a limit
  /// that nothing enforces; macOS has none.
  MaybeBytes commitLimitBytes;
  MaybeBytes commitTotalBytes;
  /// Linux: vm.overcommit_memory, 0 (heuristic), 1 (always) or 2 (never beyond the limit).
  std::optional<int> overcommitMode;
  /// Limits of this process; empty where there is no such limit or it is unlimited.
  MaybeBytes virtualLimitBytes;  // ulimit -v: counts reservations
  MaybeBytes dataLimitBytes;     // ulimit -d: counts what is writable
  /// The tightest memory limit among the process's control groups, and what that group uses.
  MaybeBytes cgroupLimitBytes;
  MaybeBytes cgroupUsageBytes;
  /// Linux: mappings that a process may have, and that this one has.
  std::optional<uint64_t> maxMapCount;
  std::optional<uint64_t> mapCount;
  /// Linux: "always", "madvise" or "never".
  std::optional<std::string> transparentHugePages;
};

/// Both allocate, and read files of /proc on Linux: milliseconds, not nanoseconds.
Status processMemory(ProcessMemory* memory);
Status systemMemory(SystemMemory* memory);

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_PROCESS_MEMORY_H_
