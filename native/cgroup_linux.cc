#include "cgroup_linux.h"

#include <string_view>
#include <vector>

#include "proc_text_linux.h"

namespace lazyshadow::os {

namespace {

/// Version 1 says "no limit" by the largest number of whole pages in a signed 64-bit number.
constexpr uint64_t kUnlimited = uint64_t{1} << 62;

struct Version {
  std::string_view filesystem;  // in mountinfo
  std::string_view limitFile;
  std::string_view usageFile;
};
constexpr Version kVersion1{"cgroup", "/memory.limit_in_bytes", "/memory.usage_in_bytes"};
constexpr Version kVersion2{"cgroup2", "/memory.max", "/memory.current"};

/// Where a hierarchy of groups is mounted, and which of its groups is seen there.
struct Mount {
  std::string group;
  std::string point;
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool hasWord(std::string_view commaSeparated, std::string_view word) {
  for (const std::string_view part : split(commaSeparated, ',')) {
    if (part == word) return true;
  }
  return false;
}

/// "32 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory" (man 5 proc). A mount point
/// with a space in it is written with an escape, which is not undone: it is then not found, as if it were not
/// mounted.
std::optional<Mount> findMount(const Version& version, const std::string& root) {
  std::optional<Mount> found;
  const Status read = forEachLine((root + "/proc/self/mountinfo").c_str(), [&](std::string_view line) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) return true;
    const auto mount = split(line.substr(0, dash), ' ');
    const auto source = split(line.substr(dash + 3), ' ');
    if (mount.size() < 5 || source.size() < 3 || source[0] != version.filesystem) return true;
    if (version.filesystem == kVersion1.filesystem && !hasWord(source[2], "memory")) return true;
    found = Mount{std::string(mount[3]), std::string(mount[4])};
    return false;
  });
  return read.ok() ? found : std::nullopt;
}

/// The process's group in "4:memory:/some/group" (version 1) or "0::/some/group" (version 2).
std::optional<std::string> findGroup(const Version& version, const std::string& root) {
  std::optional<std::string> found;
  const Status read = forEachLine((root + "/proc/self/cgroup").c_str(), [&](std::string_view line) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return true;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool wanted =
        version.filesystem == kVersion2.filesystem ? controllers.empty() : hasWord(controllers, "memory");
    // A path from the root of the hierarchy; what is none names no group.
    if (wanted && startsWith(line.substr(second + 1), "/")) found = line.substr(second + 1);
    return !wanted;
  });
  return read.ok() ? found : std::nullopt;
}

/// The group's path below the mount point: "" for the group that is mounted there. A container may see its
/// own group mounted as the root while /proc/self/cgroup tells the path from outside; then the root is all
/// there is.
std::string below(const Mount& mount, const std::string& group) {
  if (group.find("/..") != std::string::npos) return "";
  if (mount.group == "/") return group == "/" ? "" : group;
  if (group == mount.group || !startsWith(group, mount.group + "/")) return "";
  return group.substr(mount.group.size());
}

void tighten(const Version& version, const std::string& root, std::optional<CgroupMemory>* tightest) {
  const std::optional<Mount> mount = findMount(version, root);
  const std::optional<std::string> group = mount ? findGroup(version, root) : std::nullopt;
  if (!group) return;
  std::string path = below(*mount, *group);
  for (;;) {
    const std::string directory = root + mount->point + path;
    const std::optional<uint64_t> limit = numberOf(directory + std::string(version.limitFile));
    if (limit && *limit < kUnlimited && (!*tightest || *limit < (*tightest)->limitBytes)) {
      *tightest = CgroupMemory{*limit, numberOf(directory + std::string(version.usageFile))};
    }
    if (path.empty()) return;
    path.resize(path.rfind('/'));
  }
}

}  // namespace

std::optional<CgroupMemory> cgroupMemory(const std::string& root) {
  std::optional<CgroupMemory> tightest;
  tighten(kVersion1, root, &tightest);
  tighten(kVersion2, root, &tightest);
  return tightest;
}

}  // namespace lazyshadow::os
