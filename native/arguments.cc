#include "arguments.h"

#include <cmath>

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

uint64_t wholeNumber(const Napi::Value& value) {
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  // The comparison is false for NaN too.
  if (!(given >= 0 && given <= kLargest) || std::floor(given) != given) {
    throw Napi::TypeError::New(value.Env(), "expected a whole number from 0 to 2^53");
  }
  return static_cast<uint64_t>(given);
}

Range rangeArgument(const Napi::CallbackInfo& info, size_t first) {
  const Range range{wholeNumber(info[first]), wholeNumber(info[first + 1])};
  if (range.empty() || range.end() > static_cast<uint64_t>(kLargest)) {
    throw Napi::TypeError::New(info.Env(), "expected a range of at least 1 byte that ends below 2^53");
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
