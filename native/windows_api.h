// Windows' own headers, without the macros min and max and what is rarely wanted. For Windows alone.

#ifndef LAZYSHADOW_WINDOWS_API_H_
#define LAZYSHADOW_WINDOWS_API_H_

#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
// After windows.h, which it needs.
#include <psapi.h>

#endif  // LAZYSHADOW_WINDOWS_API_H_
