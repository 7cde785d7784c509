// The contract between lazyshadow and the operating system's memory: the only place from which memory is
// reserved, committed, given back or asked about. One source a platform implements it (os_memory_linux.cc,
// os_memory_darwin.cc, os_memory_windows.cc; what Linux and macOS truly share is in os_memory_posix.cc).
// docs/overview.md walks a call from JavaScript to here.
//
// Words. Reserved: addresses that nothing else will be placed at, without access and free of commit charge.
// Committed: readable and writable, zero at first, and charged against the machine's memory the moment it is
// committed, not when it is touched. Resident: what of it is in physical memory.
//
// Preconditions, stated once: ranges are not empty, do not wrap, and are aligned to geometry().pageSize;
// addresses given to map() to geometry().granularity. Nothing here allocates, locks or throws unless it says
// so; every function answers with what the operating system said, and the layer above adds verb, address and
// size.

#ifndef LAZYSHADOW_OS_MEMORY_H_
#define LAZYSHADOW_OS_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "range.h"

namespace lazyshadow::os {

/// The operating system's answer: 0, or errno (Linux, macOS) or GetLastError() (Windows).
struct [[nodiscard]] Status {
  int code = 0;
  bool ok() const { return code == 0; }
};

/// What the platform's memory is made of; asked, never assumed.
struct Geometry {
  /// Unit of commit and decommit.
  size_t pageSize;
  /// Unit of the addresses at which reservations begin: the page size on Unix, 64 KiB on Windows.
  size_t granularity;
  /// No address at or above this can be mapped by a program.
  uintptr_t addressEnd;
};
const Geometry& geometry();

enum class Placement {
  Anywhere,
  /// At the wanted address if it is free, else anywhere.
  Preferred,
  /// At the wanted address, or not at all; what is mapped there is never replaced.
  Exact,
};

enum class Access {
  /// Reserved: no access and no commit charge.
  None,
  /// Readable and writable at once, and not charged where the system has such a thing (MAP_NORESERVE on Linux
  /// without strict overcommit; macOS charges nothing ever; Windows charges all of it).
  ReadWriteUncharged,
};

/// What the committed pages of a reservation are pages of. The functions below are to be told what map() was.
enum class Backing {
  /// Mappings: each piece of committed memory is one, and the reserved rest behind it another.
  Mappings,
  /// One file in memory that is mapped whole, which goes with Access::None: pieces take no mappings, and
  /// pages are resident from their commit on. For pages that are written as soon as they are committed. What
  /// is not committed must not be accessed, though nothing keeps anyone from that.
  MemoryFile,
};
/// Whether a reservation of this size can have this backing; Mappings always can.
bool offers(Backing backing, size_t size);

/// Maps `size` bytes. On success `*start` is where.
Status map(uintptr_t wanted, size_t size, Placement placement, Access access, uintptr_t* start,
           Backing backing = Backing::Mappings);

/// Makes a reserved range readable and writable, charged. Pages of it that are committed keep their contents.
/// After a failure any page of the range may be committed or not: the caller decommits what it had not
/// committed.
Status commit(Range range, Backing backing = Backing::Mappings);

/// Returns pages and commit charge of a range that map() placed, and leaves it reserved. Contents are lost. A
/// failure changes nothing, if it was one map() that placed all of the range.
Status decommit(Range range, Backing backing = Backing::Mappings);

/// Makes the pages of committed memory resident, as writing to them would: for who is about to write to them,
/// since a fault for each page costs more (where the page tables of a virtual machine are its host's, ten
/// times as much). What the system does not do at once it does when they are written, so there is no failure.
void prefault(Range range);

/// Makes committed memory read as zeros, returning its pages where that is possible; the charge stays.
Status zero(Range range, Backing backing = Backing::Mappings);

/// Gives back everything that map() placed in the range, addresses included. On Windows the range must cover
/// whole map() calls.
Status unmap(Range range);

struct Usage {
  /// What the system itself counts as committed: accounted mappings and pages of memory files on Linux,
  /// MEM_COMMIT on Windows, writable regions on macOS.
  uint64_t committed = 0;
  uint64_t resident = 0;
};

/// Asks the system about ranges, ascending and disjoint: a usage for each. Reads the process's map once, so
/// it costs milliseconds. Allocates.
Status query(const std::vector<Range>& ranges, std::vector<Usage>* usages);

/// What ranges hold together.
inline Usage total(const std::vector<Usage>& usages) {
  Usage sum;
  for (const Usage& usage : usages) {
    sum.committed += usage.committed;
    sum.resident += usage.resident;
  }
  return sum;
}

/// How many separate pieces of committed memory a process should have at most before pieces are merged, so
/// that mappings are left for the rest of the program. No limit where pieces cost no mapping.
size_t islandLimit();

/// How many mappings more the system gives this process; no limit where it does not count them. Reads the
/// process's map, so it costs milliseconds. Allocates.
size_t mappingsLeft();

/// The lowest address in the range at which anything is mapped, if there is one. Allocates.
Status firstMapping(Range range, std::optional<uintptr_t>* address);

/// What a failure means to a caller.
enum class Failure { OutOfMemory, AddressTaken, Other };
Failure classify(Status status);
/// What the system answers when it has no memory, or no mapping, left.
Status outOfMemory();

/// The code by name and in words, such as "ENOMEM: Cannot allocate memory". Allocates.
std::string describe(Status status);

/// Whether shadow is really kept out of huge pages and core files, and named in the process's map.
struct Advice {
  bool noHugePages;
  bool noDump;
  bool named;
};
/// What of the advice the system has taken so far; all false where it knows no such advice.
Advice advice();

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_OS_MEMORY_H_
