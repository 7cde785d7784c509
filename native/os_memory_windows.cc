// Windows' part of the memory contract: VirtualAlloc and its family.
//
// Windows keeps each reservation apart: a call that changes memory must stay inside one of them, and a
// release takes all of one. A range of the contract may span several. So every verb walks the range by
// reservation (VirtualQuery names each page's AllocationBase); commit and decommit first try the whole range
// in one call, which is what a range nearly always is.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "fault_injection.h"
#include "geometry_simulation.h"
#include "os_memory.h"
#include "windows_api.h"

namespace lazyshadow::os {

namespace {

void* pointer(uintptr_t address) {
  return reinterpret_cast<void*>(address);
}

uintptr_t addressOf(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

Status failure(DWORD code) {
  return Status{static_cast<int>(code)};
}

Status lastError() {
  return failure(GetLastError());
}

SYSTEM_INFO systemInfo() {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info;
}

/// What the system itself works in, whatever a test pretends.
size_t realPageSize() {
  static const size_t known = systemInfo().dwPageSize;
  return known;
}

/// Neighbouring pages that are alike in state, protection and reservation.
struct Region {
  Range range;
  /// MEM_COMMIT, MEM_RESERVE or MEM_FREE.
  DWORD state;
  /// Start of the reservation that the pages belong to; 0 if they are free.
  uintptr_t reservation;
};

/// The region from the page at an address on.
Status regionAt(uintptr_t address, Region* region) {
  MEMORY_BASIC_INFORMATION info;
  if (VirtualQuery(pointer(address), &info, sizeof info) == 0) return lastError();
  const bool free = info.State == MEM_FREE;
  *region = Region{Range{addressOf(info.BaseAddress), info.RegionSize}, info.State,
                   free ? 0 : addressOf(info.AllocationBase)};
  return Status{};
}

/// Calls `visit` with each part of the range that lies in one region, and that region's state, in ascending
/// order until it answers with a failure.
template <typename Visit>
Status forEachPart(Range range, const Visit& visit) {
  for (uintptr_t at = range.start; at < range.end();) {
    Region region;
    Status status = regionAt(at, &region);
    if (status.ok()) status = visit(region.range.intersect(range), region.state);
    if (!status.ok()) return status;
    at = region.range.end();
  }
  return Status{};
}

/// Whether a call may have failed only because its range spans several reservations: Windows answers 487 to
/// commit and decommit of such a range, Wine 87 to decommit.
bool maySpanReservations(DWORD code) {
  return code == ERROR_INVALID_ADDRESS || code == ERROR_INVALID_PARAMETER;
}

Status commitWithin(Range range) {
  return VirtualAlloc(pointer(range.start), range.size, MEM_COMMIT, PAGE_READWRITE) != nullptr ? Status{}
                                                                                               : lastError();
}

Status decommitWithin(Range range) {
  return VirtualFree(pointer(range.start), range.size, MEM_DECOMMIT) != 0 ? Status{} : lastError();
}

/// Tries the whole range, then part by part. A page that nobody reserved breaks a precondition: that is no
/// address that is taken, which 487 would mean to classify().
template <typename Change>
Status changeByReservation(Range range, const Change& change) {
  const Status whole = change(range);
  if (whole.ok() || !maySpanReservations(static_cast<DWORD>(whole.code))) return whole;
  return forEachPart(range, [&](Range part, DWORD state) {
    return state == MEM_FREE ? failure(ERROR_INVALID_PARAMETER) : change(part);
  });
}

/// The whole reservation that starts at `start`.
Status reservationAt(uintptr_t start, Range* reservation) {
  uintptr_t end = start;
  while (end < geometry().addressEnd) {
    Region region;
    const Status status = regionAt(end, &region);
    if (!status.ok()) return status;
    if (region.reservation != start) break;
    end = region.range.end();
  }
  *reservation = Range::between(start, end);
  return Status{};
}

Status reserve(uintptr_t wanted, size_t size, Access access, uintptr_t* start) {
  const bool none = access == Access::None;
  void* mapped = VirtualAlloc(pointer(wanted), size, none ? MEM_RESERVE : MEM_RESERVE | MEM_COMMIT,
                              none ? PAGE_NOACCESS : PAGE_READWRITE);
  if (mapped == nullptr) return lastError();
  *start = addressOf(mapped);
  return Status{};
}

/// Anywhere, at a granularity that the system does not know of (a test's): Windows cannot trim a reservation,
/// so a larger one shows where there is room, is given back, and the place in it is taken.
Status reserveAligned(size_t size, Access access, uintptr_t* start) {
  const size_t granularity = geometry().granularity;
  constexpr int kAttempts = 16;  // another thread may take the place in between
  Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    uintptr_t room = 0;
    status = reserve(0, size + granularity, Access::None, &room);
    if (!status.ok()) return status;
    if (VirtualFree(pointer(room), 0, MEM_RELEASE) == 0) return lastError();
    status = reserve(roundUp(room, granularity), size, access, start);
    if (status.code != ERROR_INVALID_ADDRESS) return status;
  }
  return status;
}

/// Gives a reservation back, if all of it is in the range that is to be given back.
Status release(Range reservation, Range range) {
  if (!range.contains(reservation)) return failure(ERROR_INVALID_PARAMETER);
  return VirtualFree(pointer(reservation.start), 0, MEM_RELEASE) != 0 ? Status{} : lastError();
}

/// Adds the pages of a committed range that are in physical memory.
Status countResident(Range range, uint64_t* bytes) {
  const size_t page = realPageSize();
  std::array<PSAPI_WORKING_SET_EX_INFORMATION, 1024> states;
  for (uintptr_t at = range.start; at < range.end();) {
    const size_t pages = std::min(states.size(), (range.end() - at) / page);
    for (size_t i = 0; i < pages; ++i) states[i].VirtualAddress = pointer(at + i * page);
    const DWORD size = static_cast<DWORD>(pages * sizeof states[0]);
    if (QueryWorkingSetEx(GetCurrentProcess(), states.data(), size) == 0) return lastError();
    const auto resident = std::count_if(states.begin(), states.begin() + pages,
                                        [](const auto& state) { return state.VirtualAttributes.Valid != 0; });
    *bytes += page * static_cast<uint64_t>(resident);
    at += pages * page;
  }
  return Status{};
}

struct KnownError {
  DWORD code;
  Failure failure;
  const char* text;
};

// In English whatever the system's language, for those who will search for it.
constexpr KnownError kKnownErrors[] = {
    // Wine's answer where Linux refuses to commit; Windows has no other use for it with memory of one's own.
    {ERROR_ACCESS_DENIED, Failure::OutOfMemory, "ERROR_ACCESS_DENIED: Access is denied"},
    {ERROR_NOT_ENOUGH_MEMORY, Failure::OutOfMemory,
     "ERROR_NOT_ENOUGH_MEMORY: Not enough memory resources are available"},
    {ERROR_OUTOFMEMORY, Failure::OutOfMemory, "ERROR_OUTOFMEMORY: Not enough storage is available"},
    {ERROR_INVALID_PARAMETER, Failure::Other, "ERROR_INVALID_PARAMETER: The parameter is incorrect"},
    {ERROR_INVALID_ADDRESS, Failure::AddressTaken,
     "ERROR_INVALID_ADDRESS: Attempt to access invalid address"},
    {ERROR_NO_SYSTEM_RESOURCES, Failure::OutOfMemory,
     "ERROR_NO_SYSTEM_RESOURCES: Insufficient system resources exist"},
    {ERROR_COMMITMENT_LIMIT, Failure::OutOfMemory,
     "ERROR_COMMITMENT_LIMIT: The paging file is too small for this operation to complete"},
    {ERROR_NOT_ENOUGH_QUOTA, Failure::OutOfMemory, "ERROR_NOT_ENOUGH_QUOTA: Not enough quota is available"},
};

const KnownError* find(Status status) {
  const auto* known =
      std::find_if(std::begin(kKnownErrors), std::end(kKnownErrors),
                   [&](const KnownError& each) { return each.code == static_cast<DWORD>(status.code); });
  return known != std::end(kKnownErrors) ? known : nullptr;
}

}  // namespace

const Geometry& geometry() {
  static const Geometry known = [] {
    const SYSTEM_INFO info = systemInfo();
    return simulated(Geometry{info.dwPageSize, info.dwAllocationGranularity,
                              addressOf(info.lpMaximumApplicationAddress) + 1});
  }();
  return known;
}

// Pieces of a reservation cost nothing here.
bool offers(Backing backing, size_t) {
  return backing == Backing::Mappings;
}

Status map(uintptr_t wanted, size_t size, Placement placement, Access access, uintptr_t* start, Backing) {
  if (const Status refused = FaultInjection::fault(Verb::Reserve); !refused.ok()) return refused;
  // To VirtualAlloc address 0 means anywhere.
  if (wanted == 0 && placement == Placement::Exact) return failure(ERROR_INVALID_PARAMETER);
  if (placement != Placement::Anywhere && wanted != 0) {
    const Status status = reserve(wanted, size, access, start);
    const bool elsewhere = placement == Placement::Preferred && classify(status) != Failure::OutOfMemory;
    if (status.ok() || !elsewhere) return status;
  }
  const bool simulates = geometry().granularity > systemInfo().dwAllocationGranularity;
  return simulates ? reserveAligned(size, access, start) : reserve(0, size, access, start);
}

Status commit(Range range, Backing) {
  const Status refused = FaultInjection::fault(Verb::Commit);
  // As badly as the contract allows: some of it is committed all the same.
  if (!refused.ok()) range = firstHalf(range);
  const Status status = changeByReservation(range, commitWithin);
  return refused.ok() ? status : refused;
}

Status decommit(Range range, Backing) {
  if (const Status refused = FaultInjection::fault(Verb::Decommit); !refused.ok()) return refused;
  return changeByReservation(range, decommitWithin);
}

// PrefetchVirtualMemory reads what is on disk; pages that were never written are made when they are.
void prefault(Range) {}

Status zero(Range range, Backing) {
  if (const Status refused = FaultInjection::fault(Verb::Zero); !refused.ok()) return refused;
  // Pages could only be returned by decommit and commit, which may lose them for good if the charge is taken
  // by another process in between. DiscardVirtualMemory and MEM_RESET promise no zeros.
  return forEachPart(range, [](Range part, DWORD state) {
    if (state == MEM_FREE) return failure(ERROR_INVALID_PARAMETER);
    if (state == MEM_COMMIT) std::memset(pointer(part.start), 0, part.size);
    return Status{};
  });
}

Status unmap(Range range) {
  if (const Status refused = FaultInjection::fault(Verb::Release); !refused.ok()) return refused;
  for (uintptr_t at = range.start; at < range.end();) {
    Region region;
    Status status = regionAt(at, &region);
    Range given = region.range;
    if (status.ok() && region.state != MEM_FREE) {
      status = reservationAt(region.reservation, &given);
      if (status.ok()) status = release(given, range);
    }
    if (!status.ok()) return status;
    at = given.end();
  }
  return Status{};
}

Status query(const std::vector<Range>& ranges, std::vector<Usage>* usages) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  usages->clear();
  for (const Range range : ranges) {
    Usage& usage = usages->emplace_back();
    const Status status = forEachPart(range, [&](Range part, DWORD state) {
      if (state != MEM_COMMIT) return Status{};
      usage.committed += part.size;
      return countResident(part, &usage.resident);
    });
    if (!status.ok()) return status;
  }
  return Status{};
}

size_t islandLimit() {
  return SIZE_MAX;  // a page's state is kept in the reservation's page tables, not in a mapping of its own
}

Status firstMapping(Range range, std::optional<uintptr_t>* address) {
  if (const Status refused = FaultInjection::fault(Verb::Query); !refused.ok()) return refused;
  address->reset();
  // Past the last application address VirtualQuery fails: nothing of ours can be there.
  const uintptr_t end = std::min(range.end(), geometry().addressEnd);
  for (uintptr_t at = range.start; at < end;) {
    Region region;
    const Status status = regionAt(at, &region);
    if (!status.ok()) return status;
    if (region.state != MEM_FREE) {
      *address = at;
      return Status{};
    }
    at = region.range.end();
  }
  return Status{};
}

size_t mappingsLeft() {
  return SIZE_MAX;
}

Failure classify(Status status) {
  const KnownError* known = find(status);
  return known != nullptr ? known->failure : Failure::Other;
}

Status outOfMemory() {
  return failure(ERROR_COMMITMENT_LIMIT);
}

std::string describe(Status status) {
  const KnownError* known = find(status);
  return known != nullptr ? known->text : "Windows error " + std::to_string(status.code);
}

Advice advice() {
  return Advice{false, false, false};
}

}  // namespace lazyshadow::os
