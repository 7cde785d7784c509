#include "arguments.h"

namespace lazyshadow {

namespace {

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

double numberOr(const Napi::Value& value, double otherwise) {
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

}  // namespace

uint64_t wholeNumber(const Napi::Value& value) {
  const double given = numberOr(value, -1);
  if (!isWholeNumber(given))
    throw Napi::TypeError::New(value.Env(), "expected a whole number from 0 to 2^53");
  return static_cast<uint64_t>(given);
}

Range rangeArgument(const Napi::CallbackInfo& info, size_t first) {
  const double address = numberOr(info[first], -1);
  const double size = numberOr(info[first + 1], -1);
  if (!isRange(address, size)) throwNotRange(info.Env());
  return Range{static_cast<uintptr_t>(address), static_cast<size_t>(size)};
}

void throwNotRange(napi_env env) {
  throw Napi::TypeError::New(env, "expected a range of at least 1 byte that ends below 2^53");
}

Napi::Array rangeList(Napi::Env env, const std::vector<Range>& ranges) {
  Napi::Array list = Napi::Array::New(env, ranges.size());
  for (uint32_t i = 0; i < ranges.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("address", number(env, ranges[i].start));
    entry.Set("sizeBytes", number(env, ranges[i].size));
    list.Set(i, entry);
  }
  return list;
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
