// The classes and functions that the addon exports; each is defined in the source of its name.

#ifndef LAZYSHADOW_BINDINGS_H_
#define LAZYSHADOW_BINDINGS_H_

#include <napi.h>

namespace lazyshadow {

void exportFaultInjection(Napi::Env env, Napi::Object exports);
void exportReservation(Napi::Env env, Napi::Object exports);
void exportShadowMap(Napi::Env env, Napi::Object exports);
void exportSystem(Napi::Env env, Napi::Object exports);

}  // namespace lazyshadow

#endif  // LAZYSHADOW_BINDINGS_H_
