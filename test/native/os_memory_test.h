// What the parts of os_memory_test share: memory to try things with, and what is asked of it. The parts
// themselves, each a file about one subject, are declared at the end.

#ifndef LAZYSHADOW_TEST_OS_MEMORY_TEST_H_
#define LAZYSHADOW_TEST_OS_MEMORY_TEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "checks.h"
#include "os_memory.h"
#include "process_memory.h"

namespace lazyshadow::test {

using os::Access;
using os::Backing;
using os::Failure;
using os::Placement;
using os::Status;

constexpr size_t kMiB = size_t{1} << 20;

/// Whether another program runs this one, whose memory is in the process's numbers.
extern bool emulated;

void skip(const char* what, const char* why);

inline volatile unsigned char& byteAt(uintptr_t address) {
  return *reinterpret_cast<unsigned char*>(address);
}

/// Whether that byte can be read. Asked of the system, so that a "no" does not end the program.
bool readable(uintptr_t address);

bool readsZero(Range range);
void fill(Range range, unsigned char value);
bool holds(Range range, unsigned char value);

inline size_t page() {
  return os::geometry().pageSize;
}
inline size_t granularity() {
  return os::geometry().granularity;
}

/// A mapping that ends with its scope.
class Mapped {
 public:
  Mapped(size_t size, Access access, Backing backing = Backing::Mappings, int line = __builtin_LINE(),
         const char* file = __builtin_FILE());
  ~Mapped();
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  Range part(size_t offset, size_t size) const { return Range{range.start + offset, size}; }

  Range range;
};

/// Whether the process's charge changed by what it should, but for what this program's own allocator took.
void checkCharge(const os::ProcessMemory& before, const os::ProcessMemory& after, int64_t wanted,
                 const char* what, int line = __builtin_LINE(), const char* file = __builtin_FILE());

os::Usage usageOf(Range range, int line = __builtin_LINE(), const char* file = __builtin_FILE());

std::optional<uintptr_t> firstIn(Range range, int line = __builtin_LINE(),
                                 const char* file = __builtin_FILE());

/// Addresses that are free, and stay so: far from where C libraries map memory for themselves, when a file is
/// opened for example. Some ask for what is next to memory that was theirs.
Range freeRoom(size_t size);

#if defined(__linux__)
/// A number of /proc/self/statm by its place (man 5 proc), in bytes.
uint64_t statm(int place);
#endif

// os_memory_test_reservation.cc
void geometryIsSound();
void reservationCostsNothing(size_t size);
void exactPlacementReplacesNothing();
void impossibleAddressesAreNotOutOfMemory();
void firstMappingIsTheLowest();

// os_memory_test_commit.cc
void commitIsChargedAndKeepsContents();
void prefaultMakesPages();
void decommitGivesBack();
void verbsSpanNeighbouringMaps();
void zeroKeepsTheCharge();
void readWriteMemoryIsUsableAtOnce();

// os_memory_test_file.cc
void memoryFileIsCommittedByThePage();
void memoryFileMayNotBeLongerThanFilesMay();

// os_memory_test_numbers.cc
void residentPagesOfALargePartAreCounted();
void rangesAreAddedUp();
void processAndSystemNumbersArePlausible();
void mappingsAreCounted();

// os_memory_test_limits.cc
void islandsLeaveMappingsForOthers();
void failureToCommitIsToldAndUndone(size_t size);
void dataLimitIsKept();
void failuresHaveNames();

}  // namespace lazyshadow::test

#endif  // LAZYSHADOW_TEST_OS_MEMORY_TEST_H_
