// macOS' own part of the memory contract: what its kernel tells of a range.
//
// There is no commit charge: "committed" is what may be written. Nothing keeps anonymous memory out of huge
// pages (there are none unless asked for) or out of core files, so there is no advice either.

#include <mach/mach.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "fault_injection.h"
#include "os_memory_posix.h"

namespace lazyshadow::os {

// MAP_FIXED would replace what is there. Without it the address is a hint, taken if it is free.
const int kFixedNoReplace = 0;

// MACH_VM_MAX_ADDRESS of <mach/i386/vm_param.h> and <mach/arm/vm_param.h>. On Apple silicon the kernel also
// keeps 64 to 448 GiB for itself (the GPU's carve-out): mapping there fails or is placed elsewhere, like any
// taken address.
#if defined(__aarch64__)
const uintptr_t kAddressEnd = 0x00007ffffe000000;
#else
const uintptr_t kAddressEnd = 0x00007fffffe00000;
#endif

namespace {

struct Region {
  Range range;
  bool writable;
  uint64_t residentBytes;
};

/// The region at an address, or the next above it; none past the last. vm_region_64 has 64-bit addresses in a
/// 64-bit program, as mach_vm_region has, whose header some SDKs lack.
Status regionFrom(uintptr_t address, std::optional<Region>* found) {
  found->reset();
  vm_address_t start = address;
  vm_size_t size = 0;
  vm_region_extended_info_data_t info{};
  mach_msg_type_number_t count = VM_REGION_EXTENDED_INFO_COUNT;
  mach_port_t object = MACH_PORT_NULL;
  const kern_return_t result = vm_region_64(mach_task_self(), &start, &size, VM_REGION_EXTENDED_INFO,
                                            reinterpret_cast<vm_region_info_t>(&info), &count, &object);
  if (result == KERN_INVALID_ADDRESS) return Status{};
  if (result != KERN_SUCCESS) return Status{EFAULT};
  *found = Region{Range{start, size}, (info.protection & VM_PROT_WRITE) != 0,
                  uint64_t{info.pages_resident} * vm_page_size};
  return Status{};
}

/// Calls `visit` for each region that overlaps the range, in ascending order, until it answers with a
/// failure.
template <typename Visit>
Status forEachRegion(Range range, const Visit& visit) {
  for (uintptr_t at = range.start; at < range.end();) {
    std::optional<Region> region;
    Status status = regionFrom(at, &region);
    if (!status.ok() || !region || region->range.start >= range.end()) return status;
    status = visit(*region);
    if (!status.ok()) return status;
    at = region->range.end();
  }
  return Status{};
}

}  // namespace

// Commit is not charged, and pieces are not counted: a file would be no better than mappings.
bool offers(Backing backing, size_t) {
  return backing == Backing::Mappings;
}

Status MemoryFile::open(size_t) {
  return Status{ENOTSUP};
}

Status fillHoles(Range) {
  return Status{ENOTSUP};
}

Status makeHoles(Range) {
  return Status{ENOTSUP};
}

void advise(Range, Backing) {}

Advice advice() {
  return Advice{false, false, false};
}

// Nothing here does that but writing.
void prefault(Range) {}

Status zero(Range range, Backing) {
  if (const Status refused = FaultInjection::fault(Verb::Zero); !refused.ok()) return refused;
  // MADV_FREE leaves the contents until memory is short; a fresh mapping in their place reads as zeros at
  // once.
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  void* start = reinterpret_cast<void*>(range.start);
  return mmap(start, range.size, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED ? Status{}
                                                                                     : Status{errno};
}

Status query(const std::vector<Range>& ranges, std::vector<Usage>* usages) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  usages->clear();
  for (const Range range : ranges) {
    Usage& usage = usages->emplace_back();
    const Status status = forEachRegion(range, [&](const Region& region) {
      const Range part = region.range.intersect(range);
      if (region.writable) usage.committed += part.size;
      const bool whole = part.size == region.range.size;
      if (!whole && region.residentBytes > 0) return countResident(part, &usage.resident);
      usage.resident += region.residentBytes;
      return Status{};
    });
    if (!status.ok()) return status;
  }
  return Status{};
}

size_t islandLimit() {
  // Each island is a map entry of its own, as on Linux, but no limit on their number is documented.
  return SIZE_MAX;
}

size_t mappingsLeft() {
  return SIZE_MAX;
}

Status firstMapping(Range range, std::optional<uintptr_t>* address) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  address->reset();
  std::optional<Region> region;
  const Status status = regionFrom(range.start, &region);
  if (region && region->range.overlaps(range)) *address = region->range.intersect(range).start;
  return status;
}

}  // namespace lazyshadow::os
