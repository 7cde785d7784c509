// Files in memory on Linux (memfd_create, tmpfs without a mount; Documentation/filesystems/tmpfs.rst).
//
// Such a file is charged page by page as it gets them, under every setting of vm.overcommit_memory, where an
// anonymous mapping is charged whole; and a page more or less changes no mapping.

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>

#include "memory_file.h"
#include "os_memory_posix.h"
#include "resource_limit_posix.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace lazyshadow::os {

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

}  // namespace lazyshadow::os
