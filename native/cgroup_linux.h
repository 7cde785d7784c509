// The memory limit that control groups set on this process: version 1, version 2, or both mounted side by
// side.

#ifndef LAZYSHADOW_CGROUP_LINUX_H_
#define LAZYSHADOW_CGROUP_LINUX_H_

#include <cstdint>
#include <optional>
#include <string>

namespace lazyshadow::os {

struct CgroupMemory {
  uint64_t limitBytes;
  /// Use of the group that has the limit, which may hold more processes than this one.
  std::optional<uint64_t> usageBytes;
};

/// The least limit among the groups that this process is in, its own and those above it; empty if none has
/// one. `root` is put before every path that is read, so that a test can bring its own files.
std::optional<CgroupMemory> cgroupMemory(const std::string& root = "");

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_CGROUP_LINUX_H_
