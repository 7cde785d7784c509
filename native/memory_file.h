// A reservation's pages as pages of one file in memory: Backing::MemoryFile of the contract (os_memory.h), as
// far as Linux and macOS are asked for it by what they share (os_memory_posix.cc).

#ifndef LAZYSHADOW_MEMORY_FILE_H_
#define LAZYSHADOW_MEMORY_FILE_H_

#include <unistd.h>

#include "os_memory.h"

namespace lazyshadow::os {

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

#endif  // LAZYSHADOW_MEMORY_FILE_H_
