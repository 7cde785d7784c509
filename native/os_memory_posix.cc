// The calls that Linux and macOS share: mmap, mprotect, munmap. Memory files are Linux's.
//
// Commit charge on Linux follows the mapping's flags (man 5 proc, overcommit_memory): a private mapping is
// charged when it becomes writable, unless it was made with MAP_NORESERVE. So a reservation is PROT_NONE
// without MAP_NORESERVE, committed by mprotect. Making it PROT_NONE again returns neither the charge nor the
// pages; a fresh PROT_NONE mapping over it returns both.

#include "os_memory_posix.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "fault_injection.h"
#include "geometry_simulation.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace lazyshadow::os {

namespace {

/// What the system itself works in, whatever a test pretends.
size_t realPageSize() {
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void* pointer(uintptr_t address) {
  return reinterpret_cast<void*>(address);
}

Status lastError() {
  return Status{errno};
}

/// What mmap is told of a mapping, beside where and how long.
struct Kind {
  int protection;
  int flags;
  int descriptor;
};

/// A mapping aligned to a granularity that the system does not know of: map more, trim both ends.
Status mapAligned(size_t size, const Kind& kind, uintptr_t* start) {
  const size_t granularity = geometry().granularity;
  const size_t slack = granularity - realPageSize();
  void* mapped = mmap(nullptr, size + slack, kind.protection, kind.flags, kind.descriptor, 0);
  if (mapped == MAP_FAILED) return lastError();
  Range left{reinterpret_cast<uintptr_t>(mapped), size + slack};
  const Range kept{roundUp(left.start, granularity), size};
  for (const Range trimmed :
       {Range::between(left.start, kept.start), Range::between(kept.end(), left.end())}) {
    if (trimmed.empty()) continue;
    if (munmap(pointer(trimmed.start), trimmed.size) != 0) {
      const Status refused = lastError();
      // What is still ours goes back whole; the first error is the one to tell.
      munmap(pointer(left.start), left.size);
      return refused;
    }
    left = Range::between(kept.start, left.end());
  }
  *start = kept.start;
  return Status{};
}

Status makeWritable(Range range) {
  return mprotect(pointer(range.start), range.size, PROT_READ | PROT_WRITE) == 0 ? Status{} : lastError();
}

}  // namespace

const Geometry& geometry() {
  static const Geometry known = simulated(Geometry{realPageSize(), realPageSize(), kAddressEnd});
  return known;
}

Status map(uintptr_t wanted, size_t size, Placement placement, Access access, uintptr_t* start,
           Backing backing) {
  if (const Status refused = FaultInjection::fault(Verb::Reserve); !refused.ok()) return refused;
  // The kernels answer ENOMEM, or place the mapping elsewhere, which would be taken for memory that is short
  // or an address that is taken. It is neither: no program could have it.
  if (size > kAddressEnd) return Status{EINVAL};
  if (wanted > kAddressEnd - size) {
    if (placement == Placement::Exact) return Status{EINVAL};
    placement = Placement::Anywhere;
  }

  Kind kind{PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1};
  MemoryFile file;
  if (backing == Backing::MemoryFile) {
    // As long as mapAligned may want it.
    if (const Status refused = file.open(size + geometry().granularity); !refused.ok()) return refused;
    kind = Kind{PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor()};
  } else if (access == Access::ReadWriteUncharged) {
    kind = Kind{PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1};
  }

  if (placement != Placement::Anywhere) {
    // A plain hint never replaces anything either: the kernel places the mapping elsewhere.
    const int exact = placement == Placement::Exact ? kFixedNoReplace : 0;
    void* mapped = mmap(pointer(wanted), size, kind.protection, kind.flags | exact, kind.descriptor, 0);
    if (mapped == pointer(wanted)) {
      *start = wanted;
      advise(Range{wanted, size}, backing);
      return Status{};
    }
    const Status refused = mapped == MAP_FAILED ? lastError() : Status{EEXIST};
    if (mapped != MAP_FAILED && munmap(mapped, size) != 0) return lastError();
    if (placement == Placement::Exact || refused.code != EEXIST) return refused;
  }
  const Status status = mapAligned(size, kind, start);
  if (status.ok()) advise(Range{*start, size}, backing);
  return status;
}

Status commit(Range range, Backing backing) {
  const Status refused = FaultInjection::fault(Verb::Commit);
  // As badly as the contract allows: some of it is committed all the same.
  if (!refused.ok()) range = firstHalf(range);
  const Status status = backing == Backing::MemoryFile ? fillHoles(range) : makeWritable(range);
  return refused.ok() ? status : refused;
}

Status decommit(Range range, Backing backing) {
  if (const Status refused = FaultInjection::fault(Verb::Decommit); !refused.ok()) return refused;
  if (backing == Backing::MemoryFile) return makeHoles(range);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(pointer(range.start), range.size, PROT_NONE, flags, -1, 0) == MAP_FAILED) return lastError();
  advise(range, backing);
  return Status{};
}

Status unmap(Range range) {
  if (const Status refused = FaultInjection::fault(Verb::Release); !refused.ok()) return refused;
  return munmap(pointer(range.start), range.size) == 0 ? Status{} : lastError();
}

Failure classify(Status status) {
  switch (status.code) {
    case ENOMEM:
    case EAGAIN:
      return Failure::OutOfMemory;
    case EEXIST:
      return Failure::AddressTaken;
    default:
      return Failure::Other;
  }
}

Status outOfMemory() {
  return Status{ENOMEM};
}

Status countResident(Range range, uint64_t* bytes) {
#if defined(__APPLE__)
  using PageState = char;
#else
  using PageState = unsigned char;
#endif
  const size_t page = realPageSize();
  std::array<PageState, 16384> states;
  for (uintptr_t at = range.start; at < range.end(); at += states.size() * page) {
    const Range part = Range{at, states.size() * page}.intersect(range);
    if (mincore(pointer(part.start), part.size, states.data()) != 0) return lastError();
    const auto resident = std::count_if(states.begin(), states.begin() + part.size / page,
                                        [](PageState state) { return (state & 1) != 0; });
    *bytes += page * static_cast<uint64_t>(resident);
  }
  return Status{};
}

std::string describe(Status status) {
  struct Name {
    int code;
    const char* text;
  };
  constexpr Name kNames[] = {{ENOMEM, "ENOMEM"}, {EEXIST, "EEXIST"}, {EINVAL, "EINVAL"},
                             {EPERM, "EPERM"},   {EACCES, "EACCES"}, {EAGAIN, "EAGAIN"}};
  const auto* known = std::find_if(std::begin(kNames), std::end(kNames),
                                   [&](const Name& name) { return name.code == status.code; });
  const std::string label = known != std::end(kNames) ? known->text : "errno " + std::to_string(status.code);
  return label + ": " + std::strerror(status.code);
}

}  // namespace lazyshadow::os
