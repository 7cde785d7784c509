// What Linux and macOS must each say for themselves, for the calls that they share (os_memory_posix.cc), and
// what they are given in return.

#ifndef LAZYSHADOW_OS_MEMORY_POSIX_H_
#define LAZYSHADOW_OS_MEMORY_POSIX_H_

#include <unistd.h>

#include "os_memory.h"

namespace lazyshadow::os {

/// Flag of mmap that places a mapping exactly and never replaces another; 0 where there is none, and then the
/// address is a hint whose outcome is compared.
extern const int kFixedNoReplace;

/// The end of the addresses that a program may map.
extern const uintptr_t kAddressEnd;

/// What memory of ours is called in the process's map.
constexpr const char* kMapName = "lazyshadow";

/// Tells the system what fresh mappings are for (no huge pages, no core dump, a name). Advice may be refused.
void advise(Range range, Backing backing);

/// Adds the pages of a mapped range that are in physical memory. For mappings that reach beyond the range
/// that was asked about, whose own count cannot be told apart.
Status countResident(Range range, uint64_t* bytes);

/// A file without a name in any directory, all holes at first. The mappings of it keep it, not this object.
class MemoryFile {
 public:
  MemoryFile() = default;
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  Status open(size_t size);
  /// What mmap takes: -1, as for memory without a file, unless it is open.
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// Fills holes of a mapped range with pages of zeros, charged and resident. After a failure some may be.
Status fillHoles(Range range);

/// Makes holes of a mapped range, whose pages and charge go back to the system.
Status makeHoles(Range range);

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_OS_MEMORY_POSIX_H_
