// The failure of a memory operation, as the layers above the OS contract throw it.
//
// Invariant: whoever throws one has put its own state back to what it was before the operation.

#ifndef LAZYSHADOW_MEMORY_ERROR_H_
#define LAZYSHADOW_MEMORY_ERROR_H_

#include <exception>

#include "os_memory.h"

namespace lazyshadow {

class MemoryError : public std::exception {
 public:
  enum class Kind {
    OsRefused,     // status says why
    OutOfRange,    // the range leaves what the object covers
    NotCommitted,  // a view over memory that is not committed
    InUse,         // another thread holds a view of the memory
    NotFound,      // nothing to attach to
    Released,
  };

  MemoryError(Kind kind, Range range, os::Status status = os::Status{})
      : kind(kind), range(range), status(status) {}
  const char* what() const noexcept override { return "lazyshadow memory error"; }

  Kind kind;
  Range range;
  os::Status status;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_MEMORY_ERROR_H_
