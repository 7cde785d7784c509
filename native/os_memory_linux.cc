// Linux's own part of the memory contract: advice, files in memory, and what the kernel counts.
//
// A file in memory (memfd_create, tmpfs without a mount; Documentation/filesystems/tmpfs.rst) is charged page
// by page as it gets them, under every setting of vm.overcommit_memory, where an anonymous mapping is charged
// whole; and a page more or less changes no mapping.

#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "fault_injection.h"
#include "os_memory_posix.h"
#include "proc_maps_linux.h"
#include "proc_text_linux.h"
#include "resource_limit_posix.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000  // Linux 4.17; older kernels take the address as a hint
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41  // Linux 5.17, CONFIG_ANON_VMA_NAME
#define PR_SET_VMA_ANON_NAME 0
#endif

namespace lazyshadow::os {

const int kFixedNoReplace = MAP_FIXED_NOREPLACE;

#if defined(__aarch64__)
const uintptr_t kAddressEnd = uintptr_t{1} << 48;
#else
// The last page of the lower half is not given out.
const uintptr_t kAddressEnd = (uintptr_t{1} << 47) - 4096;
#endif

namespace {

std::atomic<bool> keptFromHugePages{false};
std::atomic<bool> keptFromDumps{false};
std::atomic<bool> named{false};

}  // namespace

void advise(Range range, Backing backing) {
  void* start = reinterpret_cast<void*>(range.start);
  // A refusal is not a failure: kernels without huge pages, dumps or names refuse, and there is nothing to
  // keep from.
  if (madvise(start, range.size, MADV_NOHUGEPAGE) == 0) keptFromHugePages = true;
  if (madvise(start, range.size, MADV_DONTDUMP) == 0) keptFromDumps = true;
  if (backing == Backing::MemoryFile) {
    named = true;
    // A child process would write to the same pages.
    (void)madvise(start, range.size, MADV_DONTFORK);
  } else if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, range.size, kMapName) == 0) {
    named = true;
  }
}

Advice advice() {
  return Advice{keptFromHugePages, keptFromDumps, named};
}

Status MemoryFile::open(size_t size) {
  descriptor_ = memfd_create(kMapName, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (descriptor_ < 0 && errno == EINVAL) descriptor_ = memfd_create(kMapName, MFD_CLOEXEC);
  if (descriptor_ < 0) return Status{errno};
  return ftruncate(descriptor_, static_cast<off_t>(size)) == 0 ? Status{} : Status{errno};
}

Status fillHoles(Range range) {
  if (madvise(reinterpret_cast<void*>(range.start), range.size, MADV_POPULATE_WRITE) == 0) return Status{};
  // A page that the commit limit has no room for would be a SIGBUS to whoever touched it.
  return Status{errno == EFAULT ? ENOMEM : errno};
}

Status makeHoles(Range range) {
  return madvise(reinterpret_cast<void*>(range.start), range.size, MADV_REMOVE) == 0 ? Status{}
                                                                                     : Status{errno};
}

namespace {

/// Tries all of it on one page: kernels, emulators and sandboxes leave this or that out, and some say
/// nothing. Memory that the program has locked (mlockall) shows too: there a fresh page is resident already.
bool systemHasMemoryFiles() {
  const size_t size = geometry().pageSize;
  MemoryFile file;
  if (!file.open(size).ok()) return false;
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
  if (mapped == MAP_FAILED) return false;
  const Range page{reinterpret_cast<uintptr_t>(mapped), size};
  const auto holds = [page](uint64_t expected) {
    uint64_t resident = 0;
    return countResident(page, &resident).ok() && resident == expected;
  };
  const bool works = holds(0) && fillHoles(page).ok() && holds(size) && makeHoles(page).ok() && holds(0);
  return munmap(mapped, size) == 0 && works;
}

}  // namespace

bool offers(Backing backing, size_t size) {
  if (backing == Backing::Mappings) return true;
  static const bool known = systemHasMemoryFiles();
  // A file beyond this limit is refused with SIGXFSZ, which ends the process.
  const MaybeBytes longest = limitOf(RLIMIT_FSIZE);
  return known && (!longest || size + geometry().granularity <= *longest);
}

void prefault(Range range) {
  // Older kernels refuse (5.14 was the first), and so does one that has no page left.
  (void)madvise(reinterpret_cast<void*>(range.start), range.size, MADV_POPULATE_WRITE);
}

Status zero(Range range, Backing backing) {
  if (const Status refused = FaultInjection::fault(Verb::Zero); !refused.ok()) return refused;
  void* start = reinterpret_cast<void*>(range.start);
  // The pages of a file cannot be returned without their charge, nor those of memory that the program has
  // locked.
  if (backing == Backing::Mappings && madvise(start, range.size, MADV_DONTNEED) == 0) return Status{};
  if (backing == Backing::Mappings && errno != EINVAL) return Status{errno};
  std::memset(start, 0, range.size);
  return Status{};
}

namespace {

/// Adds what a part of a mapping holds.
Status addUsage(const Mapping& mapping, Range part, Usage* usage) {
  if (mapping.charged) usage->committed += part.size;
  if (part.size == mapping.whole.size) {
    usage->committed += mapping.fileBytes;
    usage->resident += mapping.residentBytes;
    return Status{};
  }
  uint64_t resident = 0;
  if (mapping.residentBytes > 0) {
    if (const Status status = countResident(part, &resident); !status.ok()) return status;
  }
  usage->resident += resident;
  // Of a part nothing tells which pages are swapped out.
  if (mapping.fileBytes > 0) usage->committed += resident;
  return Status{};
}

}  // namespace

Status query(const std::vector<Range>& ranges, std::vector<Usage>* usages) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  usages->assign(ranges.size(), Usage{});
  if (ranges.empty()) return Status{};
  auto range = ranges.begin();
  Status inner;
  const Status read = forEachMapping(MapDetail::WithUsage, [&](const Mapping& mapping) {
    while (range != ranges.end() && range->end() <= mapping.range.start) ++range;
    for (auto at = range; inner.ok() && at != ranges.end() && at->overlaps(mapping.range); ++at) {
      Usage& usage = (*usages)[static_cast<size_t>(at - ranges.begin())];
      inner = addUsage(mapping, mapping.range.intersect(*at), &usage);
    }
    return inner.ok() && range != ranges.end();
  });
  return read.ok() ? inner : read;
}

namespace {

size_t mappingLimit() {
  static const size_t limit = numberOf("/proc/sys/vm/max_map_count").value_or(65530);
  return limit;
}

}  // namespace

size_t islandLimit() {
  // An island is two mappings: itself and the reserved rest behind it. Node and its threads have some
  // hundred.
  constexpr size_t kLeftForTheProgram = 4096;
  static const size_t limit = mappingLimit() > 2 * kLeftForTheProgram
                                  ? (mappingLimit() - kLeftForTheProgram) / 2
                                  : mappingLimit() / 4;
  return limit;
}

size_t mappingsLeft() {
  size_t taken = 0;
  const Status read = forEachMapping(MapDetail::Addresses, [&taken](const Mapping&) {
    ++taken;
    return true;
  });
  // Without /proc nobody knows; then the system itself refuses.
  return read.ok() ? mappingLimit() - std::min(mappingLimit(), taken) : mappingLimit();
}

Status firstMapping(Range range, std::optional<uintptr_t>* address) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  address->reset();
  return forEachMapping(MapDetail::Addresses, [&](const Mapping& mapping) {
    if (!mapping.range.overlaps(range)) return mapping.range.start < range.end();
    *address = mapping.range.intersect(range).start;
    return false;
  });
}

}  // namespace lazyshadow::os
