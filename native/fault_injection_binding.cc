// Arms and ends fault_injection.h, for tests.

#include "arguments.h"
#include "bindings.h"
#include "fault_injection.h"

namespace lazyshadow {

namespace {

/// (verbs, first, count, code): the verbs by their numbers.
void injectFaults(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) throw Napi::TypeError::New(info.Env(), "expected an array of verbs");
  const auto verbs = info[0].As<Napi::Array>();
  os::FaultPlan plan;
  for (uint32_t i = 0; i < verbs.Length(); ++i) {
    const uint64_t verb = wholeNumber(verbs.Get(i));
    if (verb >= os::kVerbs) throw Napi::TypeError::New(info.Env(), "expected verbs by their numbers");
    plan.verbs[verb] = true;
  }
  plan.first = wholeNumber(info[1]);
  plan.count = wholeNumber(info[2]);
  plan.code = static_cast<int>(wholeNumber(info[3]));
  os::FaultInjection::arm(plan);
}

/// () → how many calls of those verbs there were.
Napi::Value endFaults(const Napi::CallbackInfo& info) {
  return number(info.Env(), os::FaultInjection::disarm());
}

}  // namespace

void exportFaultInjection(Napi::Env env, Napi::Object exports) {
  exports.Set("injectFaults", Napi::Function::New<injectFaults>(env, "injectFaults"));
  exports.Set("endFaults", Napi::Function::New<endFaults>(env, "endFaults"));
}

}  // namespace lazyshadow
