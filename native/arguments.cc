#include "arguments.h"

namespace lazyshadow {

namespace {

constexpr double kLargest = 9007199254740992.0;  // 2^53: beyond it not every whole number is a double

const char* name(MemoryError::Kind kind, os::Status status) {
  switch (kind) {
    case MemoryError::Kind::OsRefused:
      switch (os::classify(status)) {
        case os::Failure::OutOfMemory:
          return "out-of-memory";
        case os::Failure::AddressTaken:
          return "address-taken";
        case os::Failure::Other:
          return "os";
      }
      return "os";
    case MemoryError::Kind::OutOfMemory:
      return "out-of-memory";
    case MemoryError::Kind::OutOfRange:
      return "out-of-range";
    case MemoryError::Kind::NotCommitted:
      return "not-committed";
    case MemoryError::Kind::InUse:
      return "in-use";
    case MemoryError::Kind::NotFound:
      return "not-found";
    case MemoryError::Kind::Released:
      return "released";
  }
  return "os";
}

}  // namespace

uint64_t wholeNumber(napi_env env, napi_value value) {
  double given = -1;
  // Asked directly: it says itself whether the value is a number, in half the time that asking first takes.
  const bool number = napi_get_value_double(env, value, &given) == napi_ok;
  // The comparison is false for NaN too.
  if (!number || !(given >= 0 && given <= kLargest) ||
      static_cast<double>(static_cast<int64_t>(given)) != given) {
    throw Napi::TypeError::New(env, "expected a whole number from 0 to 2^53");
  }
  return static_cast<uint64_t>(given);
}

Range rangeArgument(napi_env env, napi_value address, napi_value size) {
  const Range range{wholeNumber(env, address), wholeNumber(env, size)};
  if (range.empty() || range.end() > static_cast<uint64_t>(kLargest)) {
    throw Napi::TypeError::New(env, "expected a range of at least 1 byte that ends below 2^53");
  }
  return range;
}

Napi::Number number(Napi::Env env, uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Error toJavaScript(Napi::Env env, const MemoryError& error) {
  Napi::Error thrown = Napi::Error::New(env, error.what());
  thrown.Set("kind", Napi::String::New(env, name(error.kind, error.status)));
  thrown.Set("address", number(env, error.range.start));
  thrown.Set("sizeBytes", number(env, error.range.size));
  if (!error.status.ok()) {
    thrown.Set("osCode", Napi::Number::New(env, error.status.code));
    thrown.Set("osText", Napi::String::New(env, os::describe(error.status)));
  }
  return thrown;
}

}  // namespace lazyshadow
