// An addon of Node's whose functions make mistakes: address() and undefined().

#include <napi.h>

#include "mistakes.h"

namespace {

template <int (*mistake)()>
Napi::Value call(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), mistake());
}

Napi::Object define(Napi::Env env, Napi::Object exports) {
  exports.Set("address", Napi::Function::New<call<lazyshadow::test::readPastTheEnd>>(env));
  exports.Set("undefined", Napi::Function::New<call<lazyshadow::test::overflow>>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(lazyshadow, define)
