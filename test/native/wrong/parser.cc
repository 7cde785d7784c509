// A parser that makes a mistake at one word, which libFuzzer has to find.

#include <cstdint>
#include <string_view>

#include "mistakes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.substr(0, 5) == "wrong") (void)lazyshadow::test::readPastTheEnd();
  return 0;
}
