// Mistakes, made on purpose: scripts/sanitizers.mjs makes sure that each is reported where it is made, for
// otherwise a run without reports says nothing.

#ifndef LAZYSHADOW_TEST_MISTAKES_H_
#define LAZYSHADOW_TEST_MISTAKES_H_

#include <climits>
#include <memory>
#include <thread>

namespace lazyshadow::test {

/// For AddressSanitizer.
inline int readPastTheEnd() {
  volatile int count = 4;
  const std::unique_ptr<volatile int[]> numbers(new volatile int[4]());
  return numbers[count];
}

/// For UndefinedBehaviorSanitizer.
inline int overflow() {
  volatile int most = INT_MAX;
  return most + 1;
}

/// For ThreadSanitizer.
inline int race() {
  int shared = 0;
  std::thread other([&shared] { shared++; });
  shared++;
  other.join();
  return shared;
}

}  // namespace lazyshadow::test

#endif  // LAZYSHADOW_TEST_MISTAKES_H_
