// What the C++ test programs count: checks, and those that do not hold, each told in a line. Thread-safe.

#ifndef LAZYSHADOW_TEST_CHECKS_H_
#define LAZYSHADOW_TEST_CHECKS_H_

#include <atomic>
#include <cinttypes>
#include <cstdio>

#include "os_memory.h"

namespace lazyshadow::test {

inline std::atomic<int> checks{0};
inline std::atomic<int> failures{0};

inline void check(bool holds, const char* what, int line = __builtin_LINE(),
                  const char* file = __builtin_FILE()) {
  checks++;
  if (holds) return;
  failures++;
  std::printf("%s:%d: not so: %s\n", file, line, what);
}

inline void checkOk(os::Status status, const char* what, int line = __builtin_LINE(),
                    const char* file = __builtin_FILE()) {
  check(status.ok(), what, line, file);
  if (!status.ok()) std::printf("    %s\n", os::describe(status).c_str());
}

inline void checkEqual(uint64_t got, uint64_t wanted, const char* what, int line = __builtin_LINE(),
                       const char* file = __builtin_FILE()) {
  check(got == wanted, what, line, file);
  if (got != wanted) std::printf("    %" PRIu64 ", wanted %" PRIu64 "\n", got, wanted);
}

}  // namespace lazyshadow::test

#endif  // LAZYSHADOW_TEST_CHECKS_H_
