// The symbol text: one line for each pc that an event has, written when the pc is first seen.
//
// Go's own callback, which the race runtime uses for its reports, says what lies at a pc. It can only be
// asked from inside a call of the race runtime, and a program that is killed makes no last one; so it is
// asked at once. Only a call from a goroutine's stack may ask: from a thread's system stack, where GoStart
// and timers' functions are, the callback returns to another goroutine or to none (racecallbackthunk in
// runtime/race_amd64.s takes a thread for its goroutine where it asks whether it is there). Such a pc waits
// for the next call that may.
#pragma once

#include <stdint.h>

#include "part.h"

typedef void (*go_callback)(uintptr_t command, void* context);

// Most that wait are the go statements of the runtime's start, and what the two functions that timers have
// call. One that finds no place comes again, or has no line.
#define MAX_WAITING 64

// The longest line. Names have up to some hundreds of bytes; frames that do not fit are left out, whole.
#define SYMBOL_LINE_BYTES ((size_t)32 << 10)

struct symbols {
  go_callback callback;
  struct part* part;
  uint64_t pc_count;
  uint64_t* table;  // open addressing; 0 is a free place
  uint64_t mask;    // places − 1
  uint64_t waiting[MAX_WAITING];
  unsigned waiting_count;
};

// Begins the text of a part. Returns 0 or an errno.
int symbols_begin(struct symbols* symbols, struct part* part, go_callback callback);

// Looks a pc up that `symbols_know` does not know yet, and writes its line. Returns 0 or an errno.
int symbols_add(struct symbols* symbols, uint64_t pc);

// Has such a pc wait.
void symbols_defer(struct symbols* symbols, uint64_t pc);

// The same as symbols_add for those that wait.
int symbols_add_waiting(struct symbols* symbols);

static inline uint64_t symbols_place(const struct symbols* symbols, uint64_t pc) {
  uint64_t place = (pc * 0x9e3779b97f4a7c15u >> 32) & symbols->mask;
  while (symbols->table[place] != pc && symbols->table[place] != 0) place = (place + 1) & symbols->mask;
  return place;
}

// Whether the pc needs no line: it has one, or it is 0, which is none.
static inline int symbols_know(const struct symbols* symbols, uint64_t pc) {
  return pc == 0 || symbols->table[symbols_place(symbols, pc)] == pc;
}
