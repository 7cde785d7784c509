// Between JavaScript values and the core: arguments in, failures out.
//
// lib/native checks arguments with words a caller can use; what is here is the second lock, so that the addon
// by itself cannot be made to crash either.

#ifndef LAZYSHADOW_ARGUMENTS_H_
#define LAZYSHADOW_ARGUMENTS_H_

#include <napi.h>

#include <new>
#include <vector>

#include "memory_error.h"

namespace lazyshadow {

constexpr double kLargest = 9007199254740992.0;  // 2^53: beyond it not every whole number is a double

inline bool isWholeNumber(double given) {
  // The comparison is false for NaN too.
  return given >= 0 && given <= kLargest && static_cast<double>(static_cast<int64_t>(given)) == given;
}

/// Whether address and size are whole numbers and make a range of at least a byte that ends below 2^53.
inline bool isRange(double address, double size) {
  return isWholeNumber(address) && isWholeNumber(size) && size > 0 && address + size <= kLargest;
}

/// A whole number from 0 to 2^53; a JavaScript TypeError otherwise.
uint64_t wholeNumber(const Napi::Value& value);
/// Two arguments that are address and size of a range; a JavaScript TypeError otherwise.
Range rangeArgument(const Napi::CallbackInfo& info, size_t first);
[[noreturn]] void throwNotRange(napi_env env);

/// A JavaScript number; every address and size of a 64-bit process is exact in it.
Napi::Number number(Napi::Env env, uint64_t value);

/// An array of `{ address, sizeBytes }`.
Napi::Array rangeList(Napi::Env env, const std::vector<Range>& ranges);

/// An Error with `kind`, `address`, `sizeBytes`, `osCode` and `osText`, which lib/native turns into the
/// project's own.
Napi::Error toJavaScript(Napi::Env env, const MemoryError& error);

/// Runs an operation of the core; what it throws becomes a JavaScript exception.
template <typename Operation>
auto guarded(Napi::Env env, const Operation& operation) {
  try {
    return operation();
  } catch (const MemoryError& error) {
    throw toJavaScript(env, error);
  } catch (const std::bad_alloc&) {
    throw toJavaScript(env, MemoryError(MemoryError::Kind::OutOfMemory, Range{}));
  }
}

}  // namespace lazyshadow

#endif  // LAZYSHADOW_ARGUMENTS_H_
