// Between JavaScript values and the core: arguments in, failures out.
//
// lib/native checks arguments with words a caller can use; what is here is the second lock, so that the addon
// by itself cannot be made to crash either.

#ifndef LAZYSHADOW_ARGUMENTS_H_
#define LAZYSHADOW_ARGUMENTS_H_

#include <napi.h>

#include "memory_error.h"

namespace lazyshadow {

/// A whole number from 0 to 2^53; a JavaScript TypeError otherwise.
uint64_t wholeNumber(const Napi::Value& value);
/// Two such numbers, address and size; a TypeError if the size is 0 or the range reaches beyond 2^53.
Range rangeArgument(const Napi::CallbackInfo& info, size_t first);

/// A JavaScript number; every address and size of a 64-bit process is exact in it.
Napi::Number number(Napi::Env env, uint64_t value);

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
  }
}

}  // namespace lazyshadow

#endif  // LAZYSHADOW_ARGUMENTS_H_
