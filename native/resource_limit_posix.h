// The process's own limits (ulimit), on Linux and macOS.

#ifndef LAZYSHADOW_RESOURCE_LIMIT_POSIX_H_
#define LAZYSHADOW_RESOURCE_LIMIT_POSIX_H_

#include <sys/resource.h>

#include "process_memory.h"

namespace lazyshadow::os {

/// The limit in force, such as RLIMIT_AS; empty if it is unlimited or the system has no such limit.
template <typename Resource>
MaybeBytes limitOf(Resource resource) {
  rlimit limit{};
  const bool limited = getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return limited ? MaybeBytes(limit.rlim_cur) : std::nullopt;
}

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_RESOURCE_LIMIT_POSIX_H_
