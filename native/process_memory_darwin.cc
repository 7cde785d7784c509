// macOS tells of the process by Mach's task_info and of the machine by sysctl. It counts no commit charge.

#include <mach/mach.h>
#include <sys/sysctl.h>

#include <cerrno>

#include "fault_injection.h"
#include "process_memory.h"
#include "resource_limit_posix.h"

namespace lazyshadow::os {

Status processMemory(ProcessMemory* memory) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  *memory = ProcessMemory{};
  mach_task_basic_info_data_t info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  const kern_return_t result =
      task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&info), &count);
  if (result != KERN_SUCCESS) return Status{EFAULT};
  memory->virtualBytes = info.virtual_size;
  memory->residentBytes = info.resident_size;
  memory->peakResidentBytes = info.resident_size_max;
  return Status{};
}

Status systemMemory(SystemMemory* memory) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  *memory = SystemMemory{};
  size_t size = sizeof memory->physicalBytes;
  if (sysctlbyname("hw.memsize", &memory->physicalBytes, &size, nullptr, 0) != 0) return Status{errno};
  memory->virtualLimitBytes = limitOf(RLIMIT_AS);
  memory->dataLimitBytes = limitOf(RLIMIT_DATA);
  return Status{};
}

}  // namespace lazyshadow::os
