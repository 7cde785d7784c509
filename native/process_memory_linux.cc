// Linux tells of memory in text: /proc/self for the process, /proc and /sys for the machine.

#include <algorithm>

#include "cgroup_linux.h"
#include "fault_injection.h"
#include "proc_maps_linux.h"
#include "proc_text_linux.h"
#include "process_memory.h"
#include "resource_limit_posix.h"

namespace lazyshadow::os {

namespace {

/// The value of "Key:   123 kB", in bytes, if the line is that key's.
void takeKilobytes(std::string_view line, std::string_view key, MaybeBytes* bytes) {
  if (!startsWith(line, key)) return;
  if (const auto kilobytes = numberIn(line.substr(key.size()))) *bytes = *kilobytes * 1024;
}

/// The word in brackets of "always [madvise] never".
std::optional<std::string> chosenWord(const std::string& path) {
  const std::optional<std::string> line = firstLine(path);
  if (!line) return std::nullopt;
  const size_t open = line->find('[');
  const size_t close = line->find(']', open);
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  return line->substr(open + 1, close - open - 1);
}

}  // namespace

Status processMemory(ProcessMemory* memory) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  *memory = ProcessMemory{};
  MaybeBytes size, resident, peak;
  // One read for all three, so that they fit together; statm has no peak.
  Status read = forEachLine("/proc/self/status", [&](std::string_view line) {
    takeKilobytes(line, "VmSize:", &size);
    takeKilobytes(line, "VmRSS:", &resident);
    takeKilobytes(line, "VmHWM:", &peak);
    return true;
  });
  if (!read.ok()) return read;
  if (!size || !resident) return Status{ENODATA};
  memory->virtualBytes = *size;
  memory->residentBytes = *resident;
  memory->peakResidentBytes = std::max(peak.value_or(0), *resident);

  uint64_t charged = 0;
  read = forEachMapping(MapDetail::WithUsage, [&](const Mapping& mapping) {
    charged += mapping.charged ? mapping.range.size : mapping.fileBytes;
    return true;
  });
  if (read.ok()) memory->commitBytes = charged;
  return read;
}

Status systemMemory(SystemMemory* memory) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  *memory = SystemMemory{};
  MaybeBytes physical;
  Status read = forEachLine("/proc/meminfo", [&](std::string_view line) {
    takeKilobytes(line, "MemTotal:", &physical);
    takeKilobytes(line, "CommitLimit:", &memory->commitLimitBytes);
    takeKilobytes(line, "Committed_AS:", &memory->commitTotalBytes);
    return true;
  });
  if (!read.ok()) return read;
  if (!physical) return Status{ENODATA};
  memory->physicalBytes = *physical;

  memory->overcommitMode = numberOf("/proc/sys/vm/overcommit_memory");
  memory->virtualLimitBytes = limitOf(RLIMIT_AS);
  memory->dataLimitBytes = limitOf(RLIMIT_DATA);
  if (const auto cgroup = cgroupMemory()) {
    memory->cgroupLimitBytes = cgroup->limitBytes;
    memory->cgroupUsageBytes = cgroup->usageBytes;
  }
  memory->transparentHugePages = chosenWord("/sys/kernel/mm/transparent_hugepage/enabled");

  memory->maxMapCount = numberOf("/proc/sys/vm/max_map_count");
  uint64_t mappings = 0;
  read = forEachMapping(MapDetail::Addresses, [&](const Mapping& mapping) {
    // The kernel's own page for old system calls is listed, above every other, and does not count.
    if (mapping.range.start < geometry().addressEnd) mappings++;
    return true;
  });
  if (read.ok()) memory->mapCount = mappings;
  return read;
}

}  // namespace lazyshadow::os
