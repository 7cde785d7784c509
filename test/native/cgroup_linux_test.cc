// Holds the reading of control groups (cgroup_linux.h) to files made up here: which versions and mounts a
// machine has cannot be chosen. Exits 0 and prints the number of checks if all hold.

#include "cgroup_linux.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace fs = std::filesystem;
using lazyshadow::os::CgroupMemory;
using lazyshadow::os::cgroupMemory;

namespace {

int checks = 0;
int failures = 0;

using Files = std::map<std::string, std::string>;

std::string textOf(std::optional<uint64_t> number) {
  return number ? std::to_string(*number) : "none";
}

/// What is read from a machine that has these files, as "limit usage".
void check(const char* name, const Files& files, const std::string& wanted) {
  std::string pattern = (fs::temp_directory_path() / "lazyshadow-cgroup-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  const fs::path root = pattern;
  for (const auto& [path, text] : files) {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  }
  const std::optional<CgroupMemory> memory = cgroupMemory(root.string());
  fs::remove_all(root);
  const std::string got =
      memory ? std::to_string(memory->limitBytes) + " " + textOf(memory->usageBytes) : "none";
  checks++;
  if (got == wanted) return;
  failures++;
  std::printf("%s: %s, wanted %s\n", name, got.c_str(), wanted.c_str());
}

constexpr const char* kMounts = "proc/self/mountinfo";
constexpr const char* kGroups = "proc/self/cgroup";

}  // namespace

int main() {
  const std::string unlimited1 = "9223372036854771712\n";
  const std::string mount2 =
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  const std::string mount1 =
      "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";

  check("no control groups", {{kMounts, "22 27 0:21 / /proc rw - proc proc rw\n"}, {kGroups, ""}}, "none");
  check("no files at all", {}, "none");

  check("version 2, own group",
        {{kMounts, mount2},
         {kGroups, "0::/a/b\n"},
         {"sys/fs/cgroup/a/b/memory.max", "1000\n"},
         {"sys/fs/cgroup/a/b/memory.current", "10\n"},
         {"sys/fs/cgroup/a/memory.max", "max\n"}},
        "1000 10");
  check("version 2, a group above is tighter",
        {{kMounts, mount2},
         {kGroups, "0::/a/b\n"},
         {"sys/fs/cgroup/a/b/memory.max", "max\n"},
         {"sys/fs/cgroup/a/b/memory.current", "10\n"},
         {"sys/fs/cgroup/a/memory.max", "500\n"},
         {"sys/fs/cgroup/a/memory.current", "400\n"}},
        "500 400");
  check("version 2, unlimited",
        {{kMounts, mount2}, {kGroups, "0::/a\n"}, {"sys/fs/cgroup/a/memory.max", "max\n"}}, "none");
  check("version 2, a container's own root",
        {{kMounts, mount2},
         {kGroups, "0::/\n"},
         {"sys/fs/cgroup/memory.max", "700\n"},
         {"sys/fs/cgroup/memory.current", "7\n"}},
        "700 7");
  check("version 2, a group outside the container's namespace",
        {{kMounts, mount2}, {kGroups, "0::/../other\n"}, {"sys/fs/cgroup/memory.max", "700\n"}}, "700 none");

  // test/native/proc_fuzzer.cc found it: the search for the groups above it threw std::length_error.
  check("version 2, a group that is no path",
        {{kMounts, mount2}, {kGroups, "0::group\n"}, {"sys/fs/cgroup/memory.max", "700\n"}}, "none");

  check("version 1, own group among others",
        {{kMounts, mount1},
         {kGroups, "5:cpu,cpuacct:/x\n4:memory:/a\n1:name=systemd:/y\n0::/\n"},
         {"sys/fs/cgroup/memory/memory.limit_in_bytes", unlimited1},
         {"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2000\n"},
         {"sys/fs/cgroup/memory/a/memory.usage_in_bytes", "20\n"}},
        "2000 20");
  check("version 1, unlimited",
        {{kMounts, mount1},
         {kGroups, "4:memory:/a\n"},
         {"sys/fs/cgroup/memory/memory.limit_in_bytes", unlimited1},
         {"sys/fs/cgroup/memory/a/memory.limit_in_bytes", unlimited1}},
        "none");
  check("version 1, a container that sees its group as the root",
        {{kMounts, "35 31 0:32 /docker/c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"},
         {kGroups, "4:memory:/docker/c\n"},
         {"sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n"},
         {"sys/fs/cgroup/memory/memory.usage_in_bytes", "30\n"}},
        "3000 30");
  check("version 1, a group below what is mounted",
        {{kMounts, "35 31 0:32 /docker/c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"},
         {kGroups, "4:memory:/docker/c/inner\n"},
         {"sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n"},
         {"sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "2500\n"}},
        "2500 none");

  check("both versions, memory in the first",
        {{kMounts, mount1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
         {kGroups, "4:memory:/a\n0::/b\n"},
         {"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n"},
         {"sys/fs/cgroup/memory/a/memory.usage_in_bytes", "40\n"}},
        "4000 40");

  std::printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
