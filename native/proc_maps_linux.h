// Reads the process's own map: /proc/self/maps, or /proc/self/smaps where usage is wanted.

#ifndef LAZYSHADOW_PROC_MAPS_LINUX_H_
#define LAZYSHADOW_PROC_MAPS_LINUX_H_

#include <functional>

#include "os_memory.h"

namespace lazyshadow::os {

struct Mapping {
  /// What of it was not visited before.
  Range range;
  Range whole;
  /// Those below are known with MapDetail::WithUsage only, and are said of the whole.
  uint64_t residentBytes = 0;
  /// The kernel charged all of it against the commit limit ("ac" among VmFlags).
  bool charged = false;
  /// Pages of a memory file of ours, in memory or swapped out: each is charged.
  uint64_t fileBytes = 0;
};

enum class MapDetail { Addresses, WithUsage };

/// Calls `visit` for each mapping in ascending order until it returns false. No address is visited twice,
/// whatever other threads map meanwhile.
Status forEachMapping(MapDetail detail, const std::function<bool(const Mapping&)>& visit);

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_PROC_MAPS_LINUX_H_
