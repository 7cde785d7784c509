// The addon's entry. It keeps no state of its own: it may be loaded by the main thread and by any number of
// workers.

#include <napi.h>

#include "bindings.h"

namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  lazyshadow::exportFaultInjection(env, exports);
  lazyshadow::exportReservation(env, exports);
  lazyshadow::exportShadowMap(env, exports);
  lazyshadow::exportSystem(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialize)
