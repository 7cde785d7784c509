// The calls that Linux and macOS share: mmap, mprotect, munmap.
//
// Commit charge on Linux follows the mapping's flags (man 5 proc, overcommit_memory): a private mapping is
// charged when it becomes writable, unless it was made with MAP_NORESERVE. So a reservation is PROT_NONE
// without MAP_NORESERVE, committed by mprotect. Making it PROT_NONE again returns neither the charge nor the
// pages; a fresh PROT_NONE mapping over it returns both.

#include "os_memory_posix.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace lazyshadow::os {

namespace {

/// A test may pretend that pages are larger than they are (never smaller: that could not work).
size_t simulated(const char* variable, size_t real) {
  const char* text = std::getenv(variable);
  const size_t wanted = text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  const bool usable = wanted > real && wanted <= (size_t{1} << 21) && (wanted & (wanted - 1)) == 0;
  return usable ? wanted : real;
}

Geometry readGeometry() {
  const size_t page = simulated("LAZYSHADOW_TEST_PAGE_SIZE", static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  return Geometry{page, simulated("LAZYSHADOW_TEST_GRANULARITY", page), kAddressEnd};
}

void* pointer(uintptr_t address) {
  return reinterpret_cast<void*>(address);
}

Status lastError() {
  return Status{errno};
}

/// A mapping aligned to a granularity that the system does not know of: map more, trim both ends.
Status mapAligned(size_t size, int protection, int flags, uintptr_t* start) {
  const size_t granularity = geometry().granularity;
  const size_t slack = granularity - static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* mapped = mmap(nullptr, size + slack, protection, flags, -1, 0);
  if (mapped == MAP_FAILED) return lastError();
  const Range whole{reinterpret_cast<uintptr_t>(mapped), size + slack};
  const Range kept{roundUp(whole.start, granularity), size};
  Status status;
  for (const Range trimmed :
       {Range::between(whole.start, kept.start), Range::between(kept.end(), whole.end())}) {
    if (!trimmed.empty() && munmap(pointer(trimmed.start), trimmed.size) != 0) status = lastError();
  }
  *start = kept.start;
  return status;
}

}  // namespace

const Geometry& geometry() {
  static const Geometry known = readGeometry();
  return known;
}

Status map(uintptr_t wanted, size_t size, Placement placement, Access access, uintptr_t* start) {
  const int protection = access == Access::None ? PROT_NONE : PROT_READ | PROT_WRITE;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (access == Access::ReadWriteUncharged) flags |= MAP_NORESERVE;

  if (placement != Placement::Anywhere) {
    // A plain hint never replaces anything either: the kernel places the mapping elsewhere.
    const int exact = placement == Placement::Exact ? kFixedNoReplace : 0;
    void* mapped = mmap(pointer(wanted), size, protection, flags | exact, -1, 0);
    if (mapped == pointer(wanted)) {
      *start = wanted;
      advise(Range{wanted, size});
      return Status{};
    }
    const Status refused = mapped == MAP_FAILED ? lastError() : Status{EEXIST};
    if (mapped != MAP_FAILED && munmap(mapped, size) != 0) return lastError();
    if (placement == Placement::Exact || refused.code != EEXIST) return refused;
  }
  const Status status = mapAligned(size, protection, flags, start);
  if (status.ok()) advise(Range{*start, size});
  return status;
}

Status commit(Range range) {
  return mprotect(pointer(range.start), range.size, PROT_READ | PROT_WRITE) == 0 ? Status{} : lastError();
}

Status decommit(Range range) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(pointer(range.start), range.size, PROT_NONE, flags, -1, 0) == MAP_FAILED) return lastError();
  advise(range);
  return Status{};
}

Status unmap(Range range) {
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

std::string describe(Status status) {
  const char* name = nullptr;
  switch (status.code) {
    case ENOMEM:
      name = "ENOMEM";
      break;
    case EEXIST:
      name = "EEXIST";
      break;
    case EINVAL:
      name = "EINVAL";
      break;
    case EPERM:
      name = "EPERM";
      break;
    case EACCES:
      name = "EACCES";
      break;
    case EAGAIN:
      name = "EAGAIN";
      break;
    default:
      break;
  }
  const std::string label = name != nullptr ? name : "errno " + std::to_string(status.code);
  return label + ": " + std::strerror(status.code);
}

}  // namespace lazyshadow::os
