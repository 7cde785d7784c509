// Gives addresses back for good, at the moment their owner is destroyed and nobody is left to hear of a
// refusal (Linux refuses when the process has no mapping left and the range would split one).
//
// Invariant: addresses that the system would not take back are offered to it again whenever others are
// reserved or released; their memory, if that could be given back, is gone at once. Thread-safe.

#ifndef LAZYSHADOW_RELEASE_H_
#define LAZYSHADOW_RELEASE_H_

#include "range.h"

namespace lazyshadow {

/// Gives back what map() placed in the range: whole map() calls. Now, or else later.
void release(Range range) noexcept;

/// Offers the system again what it refused before. To be called before addresses are reserved: they may be
/// the wanted ones.
void releaseRefused() noexcept;

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RELEASE_H_
