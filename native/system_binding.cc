// What the operating system says of itself, of this process and of the machine, as plain JavaScript values;
// and windows onto memory by address.

#include "arguments.h"
#include "bindings.h"
#include "process_memory.h"
#include "views.h"

namespace lazyshadow {

namespace {

void require(os::Status status, Range range = Range{}) {
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, range, status);
}

Napi::Value maybe(Napi::Env env, const std::optional<uint64_t>& value) {
  return value ? Napi::Value(number(env, *value)) : env.Null();
}

/// More than a shadow of any built-in layout takes, so that a limit on files shows (ulimit -f).
constexpr size_t kLargeReservation = size_t{1} << 40;

Napi::Value geometry(const Napi::CallbackInfo& info) {
  const os::Geometry& known = os::geometry();
  const os::Advice advice = os::advice();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("pageSizeBytes", number(info.Env(), known.pageSize));
  object.Set("allocationGranularityBytes", number(info.Env(), known.granularity));
  object.Set("addressEnd", number(info.Env(), known.addressEnd));
  object.Set("islandLimit", number(info.Env(), os::islandLimit()));
  object.Set("hasMemoryFiles", os::offers(os::Backing::MemoryFile, kLargeReservation));
  object.Set("keptFromHugePages", advice.noHugePages);
  object.Set("keptFromDumps", advice.noDump);
  return object;
}

Napi::Value processMemory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    os::ProcessMemory memory;
    require(os::processMemory(&memory));
    Napi::Object object = Napi::Object::New(env);
    object.Set("virtualBytes", number(env, memory.virtualBytes));
    object.Set("residentBytes", number(env, memory.residentBytes));
    object.Set("peakResidentBytes", number(env, memory.peakResidentBytes));
    object.Set("commitBytes", maybe(env, memory.commitBytes));
    return object;
  });
}

Napi::Value systemMemory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    os::SystemMemory memory;
    require(os::systemMemory(&memory));
    Napi::Object object = Napi::Object::New(env);
    object.Set("physicalBytes", number(env, memory.physicalBytes));
    object.Set("commitLimitBytes", maybe(env, memory.commitLimitBytes));
    object.Set("commitTotalBytes", maybe(env, memory.commitTotalBytes));
    object.Set("overcommitMode", memory.overcommitMode
                                     ? Napi::Value(Napi::Number::New(env, *memory.overcommitMode))
                                     : env.Null());
    object.Set("virtualLimitBytes", maybe(env, memory.virtualLimitBytes));
    object.Set("dataLimitBytes", maybe(env, memory.dataLimitBytes));
    object.Set("cgroupLimitBytes", maybe(env, memory.cgroupLimitBytes));
    object.Set("cgroupUsageBytes", maybe(env, memory.cgroupUsageBytes));
    object.Set("maxMapCount", maybe(env, memory.maxMapCount));
    object.Set("mapCount", maybe(env, memory.mapCount));
    object.Set("transparentHugePages", memory.transparentHugePages
                                           ? Napi::Value(Napi::String::New(env, *memory.transparentHugePages))
                                           : env.Null());
    return object;
  });
}

/// (address, sizeBytes) → the lowest address in the range at which something is mapped, or null.
Napi::Value firstMapping(const Napi::CallbackInfo& info) {
  const Range range = rangeArgument(info, 0);
  return guarded(info.Env(), [&] {
    std::optional<uintptr_t> address;
    require(os::firstMapping(range, &address), range);
    return maybe(info.Env(), address);
  });
}

/// Windows onto any addresses, committed or not, whose life the owner answers for: for lib/ only, which knows
/// what it may touch, and closes them before the memory goes.
class Windows : public Napi::ObjectWrap<Windows> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Windows",
                       {InstanceMethod<&Windows::open>("open"), InstanceMethod<&Windows::close>("close")});
  }

  explicit Windows(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Windows>(info), windows_(std::make_shared<ViewList>()) {}

 private:
  Napi::Value open(const Napi::CallbackInfo& info) {
    return ViewList::open(info.Env(), windows_, rangeArgument(info, 0), nullptr);
  }
  void close(const Napi::CallbackInfo& info) { windows_->close(info.Env()); }

  std::shared_ptr<ViewList> windows_;
};

}  // namespace

void exportSystem(Napi::Env env, Napi::Object exports) {
  exports.Set("geometry", Napi::Function::New<geometry>(env, "geometry"));
  exports.Set("processMemory", Napi::Function::New<processMemory>(env, "processMemory"));
  exports.Set("systemMemory", Napi::Function::New<systemMemory>(env, "systemMemory"));
  exports.Set("Windows", Windows::define(env));
  exports.Set("firstMapping", Napi::Function::New<firstMapping>(env, "firstMapping"));
}

}  // namespace lazyshadow
