// For tests: pages and granularity may be taken for larger than they are, so that a machine with 4 KiB pages
// shows what happens on one with 16 or 64 KiB, and Unix shows the 64 KiB granularity of Windows.

#ifndef LAZYSHADOW_GEOMETRY_SIMULATION_H_
#define LAZYSHADOW_GEOMETRY_SIMULATION_H_

#include <algorithm>
#include <cstdlib>

#include "os_memory.h"
#if defined(_WIN32)
#include "windows_api.h"
#endif

namespace lazyshadow::os {

/// Large enough for every page size that a processor has but the 1 GiB ones.
constexpr size_t kLargestSimulatedUnit = size_t{1} << 21;

/// An environment variable as a number; 0 if there is none.
inline size_t environmentNumber(const char* variable) {
#if defined(_WIN32)
  // getenv() reads a copy from the program's start, and a test sets the variable after that.
  char text[32];
  const DWORD length = GetEnvironmentVariableA(variable, text, sizeof text);
  if (length == 0 || length >= sizeof text) return 0;
#else
  const char* text = std::getenv(variable);
  if (text == nullptr) return 0;
#endif
  return std::strtoull(text, nullptr, 10);
}

/// The size that an environment variable asks for, if it is a power of two and not below `real`: to work with
/// smaller units than the system's is impossible.
inline size_t simulatedUnit(const char* variable, size_t real) {
  const size_t wanted = environmentNumber(variable);
  const bool usable = wanted > real && wanted <= kLargestSimulatedUnit && (wanted & (wanted - 1)) == 0;
  return usable ? wanted : real;
}

inline Geometry simulated(Geometry real) {
  const size_t page = simulatedUnit("LAZYSHADOW_TEST_PAGE_SIZE", real.pageSize);
  const size_t granularity = std::max(page, real.granularity);
  return Geometry{page, simulatedUnit("LAZYSHADOW_TEST_GRANULARITY", granularity), real.addressEnd};
}

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_GEOMETRY_SIMULATION_H_
