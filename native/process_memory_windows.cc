// Windows counts commit for the process and for the machine, which are the numbers that matter there.

#include "fault_injection.h"
#include "process_memory.h"
#include "windows_api.h"

namespace lazyshadow::os {

namespace {

Status lastError() {
  return Status{static_cast<int>(GetLastError())};
}

/// Wine takes PrivateUsage from Linux, where it is no commit charge, and GlobalMemoryStatusEx knows no
/// addresses that are only reserved. VirtualQuery is right on both.
bool underWine() {
  const HMODULE ntdll = GetModuleHandleA("ntdll.dll");
  return ntdll != nullptr && GetProcAddress(ntdll, "wine_get_version") != nullptr;
}

struct AddressSpace {
  uint64_t reservedOrCommitted = 0;
  uint64_t committedPrivately = 0;
};

/// Visits every region of the process: some hundreds, and two for each island of committed pages.
Status readAddressSpace(AddressSpace* space) {
  const uintptr_t end = geometry().addressEnd;
  for (uintptr_t at = 0; at < end;) {
    MEMORY_BASIC_INFORMATION info;
    if (VirtualQuery(reinterpret_cast<void*>(at), &info, sizeof info) == 0) return lastError();
    if (info.State != MEM_FREE) space->reservedOrCommitted += info.RegionSize;
    if (info.State == MEM_COMMIT && info.Type == MEM_PRIVATE) space->committedPrivately += info.RegionSize;
    at = reinterpret_cast<uintptr_t>(info.BaseAddress) + info.RegionSize;
  }
  return Status{};
}

}  // namespace

Status processMemory(ProcessMemory* memory) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  *memory = ProcessMemory{};
  PROCESS_MEMORY_COUNTERS_EX counters{};
  counters.cb = sizeof counters;
  auto* const basic = reinterpret_cast<PROCESS_MEMORY_COUNTERS*>(&counters);  // as its documentation asks
  if (GetProcessMemoryInfo(GetCurrentProcess(), basic, sizeof counters) == 0) return lastError();
  memory->residentBytes = counters.WorkingSetSize;
  memory->peakResidentBytes = counters.PeakWorkingSetSize;

  if (underWine()) {
    AddressSpace space;
    const Status read = readAddressSpace(&space);
    if (!read.ok()) return read;
    memory->virtualBytes = space.reservedOrCommitted;
    memory->commitBytes = space.committedPrivately;
    return Status{};
  }
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  if (GlobalMemoryStatusEx(&status) == 0) return lastError();
  memory->virtualBytes = status.ullTotalVirtual - status.ullAvailVirtual;
  memory->commitBytes = counters.PrivateUsage;
  return Status{};
}

Status systemMemory(SystemMemory* memory) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  *memory = SystemMemory{};
  PERFORMANCE_INFORMATION performance{};
  performance.cb = sizeof performance;
  if (GetPerformanceInfo(&performance, sizeof performance) == 0) return lastError();
  const uint64_t page = performance.PageSize;
  memory->physicalBytes = page * performance.PhysicalTotal;
  memory->commitLimitBytes = page * performance.CommitLimit;
  memory->commitTotalBytes = page * performance.CommitTotal;
  return Status{};
}

}  // namespace lazyshadow::os
