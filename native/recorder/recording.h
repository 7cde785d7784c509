// The recording of this process: whether there is one, the lock that makes one order of all calls, and its
// end.
//
//     if (recording_enter()) {         // from here on no other call is recorded or carried out
//       recording_put(OP_READ, …);
//       …the call itself…
//       recording_leave();
//     }
//
// The call is made with the lock held, so that what the race runtime sees is in the order of the recording,
// and an atomic takes effect where it is recorded.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "symbols.h"

// Begins a recording if the environment asks for one (LAZYSHADOW_RECORD), and takes what asked for it out of
// the environment: children of this program are not recorded. The path may hold %p (process) and %n
// (program).
void recording_begin(go_callback callback);

// Takes the lock. False, and no lock, if nothing is being recorded.
bool recording_enter(void);
void recording_leave(void);

// The stack that a call of the race runtime was made on.
enum stack { GOROUTINE_STACK, SYSTEM_STACK };

// Writes an event, with the lock held. The event stays writable until the lock is left. May end the recording
// (a limit, a full disk); the event then goes nowhere.
struct event* recording_put(struct event event, enum stack stack);

// A number for a goroutine that starts, with the lock held: 1, 2, 3 …
uint32_t recording_next_goroutine(void);

// The program ends in good order: Finalize is to be the last event.
void recording_finalize(void);
