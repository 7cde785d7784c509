// What the parts of os_memory_test share, for every platform (os_memory_test.h).

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "os_memory_test.h"

#if defined(_WIN32)
#include "windows_api.h"
#else
#include <unistd.h>
#endif

namespace lazyshadow::test {

bool emulated = false;

void skip(const char* what, const char* why) {
  std::printf("skipped: %s: %s\n", what, why);
}

bool readable(uintptr_t address) {
#if defined(_WIN32)
  return IsBadReadPtr(reinterpret_cast<const void*>(address), 1) == 0;
#else
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const bool written = write(ends[1], reinterpret_cast<const void*>(address), 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return written;
#endif
}

bool readsZero(Range range) {
  for (uintptr_t at = range.start; at < range.end(); at += 512) {
    if (byteAt(at) != 0) return false;
  }
  return byteAt(range.end() - 1) == 0;
}

void fill(Range range, unsigned char value) {
  std::memset(reinterpret_cast<void*>(range.start), value, range.size);
}

bool holds(Range range, unsigned char value) {
  for (uintptr_t at = range.start; at < range.end(); ++at) {
    if (byteAt(at) != value) return false;
  }
  return true;
}

Mapped::Mapped(size_t size, Access access, Backing backing, int line, const char* file) {
  range.size = size;
  checkOk(os::map(0, size, Placement::Anywhere, access, &range.start, backing), "map() anywhere", line, file);
  if (range.start == 0) std::exit(1);
}

Mapped::~Mapped() {
  checkOk(os::unmap(range), "unmap()");
}

void checkCharge(const os::ProcessMemory& before, const os::ProcessMemory& after, int64_t wanted,
                 const char* what, int line, const char* file) {
  if (emulated || !before.commitBytes || !after.commitBytes) return;
  const auto change = static_cast<int64_t>(*after.commitBytes - *before.commitBytes);
  check(std::llabs(change - wanted) <= static_cast<int64_t>(kMiB), what, line, file);
}

os::Usage usageOf(Range range, int line, const char* file) {
  std::vector<os::Usage> usages;
  checkOk(os::query({range}, &usages), "query()", line, file);
  return os::total(usages);
}

std::optional<uintptr_t> firstIn(Range range, int line, const char* file) {
  std::optional<uintptr_t> first;
  checkOk(os::firstMapping(range, &first), "firstMapping()", line, file);
  return first;
}

Range freeRoom(size_t size) {
  constexpr uintptr_t kFarAway = uintptr_t{0x2000} << 32;
  uintptr_t start = 0;
  checkOk(os::map(kFarAway, size, Placement::Preferred, Access::None, &start), "map() far away");
  checkOk(os::unmap(Range{start, size}), "unmap()");
  return Range{start, size};
}

#if defined(__linux__)
uint64_t statm(int place) {
  uint64_t pages = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  for (int i = 0; i < place; ++i) {
    if (std::fscanf(file, "%" SCNu64, &pages) != 1) pages = 0;
  }
  std::fclose(file);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}
#endif

}  // namespace lazyshadow::test
