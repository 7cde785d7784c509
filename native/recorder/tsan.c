// The functions that Go's runtime calls for its race detector, in front of the real ones.
//
// Go's own race runtime is linked beside this with its names changed: real_tsan_read for __tsan_read, and so
// on. A call is written to the recording and made, in one step (recording.h). The list is what
// runtime/race.go imports; lib/trace/record/toolchain.ts checks that nothing in it is missing here. Their
// signatures are those of the calls in runtime/race.go and runtime/race_amd64.s.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "recording.h"

// The race runtime's own state of a goroutine, and of a processor: never looked into.
struct thread;
struct processor;

// What Go holds as a goroutine's race context.
struct goroutine {
  struct thread* thread;
  uint32_t number;
};

static struct goroutine* new_goroutine(void) {
  struct goroutine* goroutine = calloc(1, sizeof *goroutine);
  if (goroutine != NULL) return goroutine;
  fputs("lazyshadow: out of memory\n", stderr);
  abort();
}

// A call by no goroutine has none.
static inline struct thread* thread_of(const struct goroutine* goroutine) {
  return goroutine == NULL ? NULL : goroutine->thread;
}

// Calls with a pc come from a goroutine's stack or, from a timer's function, from a thread's system stack. C
// runs on the system stack either way, and cannot tell; but racecall (runtime/race_amd64.s), which changes to
// it, keeps in r12 where the stack was. So such a call begins in assembly, which hands on in `next`, the
// register of the argument behind the last, how far above this function's frame that is.
#define ENTRY(name, next)                                                         \
  __attribute__((naked)) void __tsan_##name(void) {                               \
    __asm__("mov %r12, %" next "\n\tsub %rsp, %" next "\n\tjmp recorded_" #name); \
  }

// Where the caller's stack is: as ENTRY says, a return address and what aligns the stack below it if it is
// this one.
static inline enum stack stack_of(uintptr_t distance) {
  return distance < 24 ? SYSTEM_STACK : GOROUTINE_STACK;
}

static inline struct event* put_on(enum stack stack, enum op op, const struct goroutine* goroutine,
                                   uint64_t addr, uint64_t arg, uint64_t pc) {
  struct event event = {
      .op = (uint8_t)op,
      .size = op >= OP_READ && op <= OP_WRITE_PC ? 1 : 0,
      .goroutine = goroutine == NULL ? 0 : goroutine->number,
      .addr = addr,
      .arg = arg,
      .pc = pc,
  };
  return recording_put(event, stack);
}

// A call without a pc; or of GoStart, which the runtime makes on the system stack.
static inline struct event* put(enum op op, const struct goroutine* goroutine, uint64_t addr, uint64_t arg,
                                uint64_t pc) {
  return put_on(SYSTEM_STACK, op, goroutine, addr, arg, pc);
}

// Start and end.

void real_tsan_init(struct thread** thread, struct processor** processor, go_callback callback);
void __tsan_init(struct goroutine** goroutine, struct processor** processor, go_callback callback) {
  *goroutine = new_goroutine();
  // First, because it may start the program anew to get the address space that it needs.
  real_tsan_init(&(*goroutine)->thread, processor, callback);
  recording_begin(callback);
  if (!recording_enter()) return;
  (*goroutine)->number = recording_next_goroutine();
  put(OP_INITIALIZE, *goroutine, 0, 0, 0);
  recording_leave();
}

void real_tsan_fini(void);
void __tsan_fini(void) {
  // It waits for other goroutines to report their races, and they are recorded meanwhile; then it calls exit.
  if (recording_enter()) {
    recording_finalize();
    recording_leave();
  }
  real_tsan_fini();
}

void real_tsan_go_start(struct thread* parent, struct thread** thread, uintptr_t pc);
void __tsan_go_start(const struct goroutine* parent, struct goroutine** started, uintptr_t pc) {
  *started = new_goroutine();
  bool recorded = recording_enter();
  if (recorded) {
    (*started)->number = recording_next_goroutine();
    put(OP_GO_START, parent, 0, (*started)->number, pc);
  }
  real_tsan_go_start(thread_of(parent), &(*started)->thread, pc);
  if (recorded) recording_leave();
}

void real_tsan_go_end(struct thread* thread);
void __tsan_go_end(struct goroutine* goroutine) {
  bool recorded = recording_enter();
  if (recorded) put(OP_GO_END, goroutine, 0, 0, 0);
  real_tsan_go_end(goroutine->thread);
  if (recorded) recording_leave();
  free(goroutine);
}

// Memory.

void real_tsan_map_shadow(uintptr_t addr, uintptr_t size);
void __tsan_map_shadow(uintptr_t addr, uintptr_t size) {
  bool recorded = recording_enter();
  if (recorded) put(OP_MAP_SHADOW, NULL, addr, size, 0);
  real_tsan_map_shadow(addr, size);
  if (recorded) recording_leave();
}

void real_tsan_malloc(struct thread* thread, uintptr_t pc, uintptr_t addr, uintptr_t size);
void __tsan_malloc(const struct goroutine* goroutine, uintptr_t pc, uintptr_t addr, uintptr_t size) {
  bool recorded = recording_enter();
  if (recorded) put(OP_MALLOC, NULL, addr, size, 0);
  real_tsan_malloc(thread_of(goroutine), pc, addr, size);
  if (recorded) recording_leave();
}

void real_tsan_free(uintptr_t addr, uintptr_t size);
void __tsan_free(uintptr_t addr, uintptr_t size) {
  bool recorded = recording_enter();
  if (recorded) put(OP_FREE, NULL, addr, size, 0);
  real_tsan_free(addr, size);
  if (recorded) recording_leave();
}

// Calls with nothing but their goroutine: FuncExit, FinalizerGoroutine, IgnoreSyncBegin, IgnoreSyncEnd.
#define PLAIN_CALL(name, op)                              \
  void real_tsan_##name(struct thread* thread);           \
  void __tsan_##name(const struct goroutine* goroutine) { \
    bool recorded = recording_enter();                    \
    if (recorded) put(op, goroutine, 0, 0, 0);            \
    real_tsan_##name(goroutine->thread);                  \
    if (recorded) recording_leave();                      \
  }
PLAIN_CALL(func_exit, OP_FUNC_EXIT)
PLAIN_CALL(finalizer_goroutine, OP_FINALIZER_GOROUTINE)
PLAIN_CALL(go_ignore_sync_begin, OP_IGNORE_SYNC_BEGIN)
PLAIN_CALL(go_ignore_sync_end, OP_IGNORE_SYNC_END)

void real_tsan_func_enter(struct thread* thread, uintptr_t pc);
ENTRY(func_enter, "rdx")
void recorded_func_enter(const struct goroutine* goroutine, uintptr_t pc, uintptr_t distance) {
  bool recorded = recording_enter();
  if (recorded) put_on(stack_of(distance), OP_FUNC_ENTER, goroutine, 0, 0, pc);
  real_tsan_func_enter(goroutine->thread, pc);
  if (recorded) recording_leave();
}

// Synchronisation.
#define SYNC_CALL(name, op)                                               \
  void real_tsan_##name(struct thread* thread, uintptr_t addr);           \
  void __tsan_##name(const struct goroutine* goroutine, uintptr_t addr) { \
    bool recorded = recording_enter();                                    \
    if (recorded) put(op, goroutine, addr, 0, 0);                         \
    real_tsan_##name(goroutine->thread, addr);                            \
    if (recorded) recording_leave();                                      \
  }
SYNC_CALL(acquire, OP_ACQUIRE)
SYNC_CALL(release, OP_RELEASE)
SYNC_CALL(release_merge, OP_RELEASE_MERGE)
SYNC_CALL(release_acquire, OP_RELEASE_ACQUIRE)

// Accesses: an address and a pc; with the caller's pc; with a size.
#define ACCESS_CALL(name, op)                                                           \
  void real_tsan_##name(struct thread* thread, uintptr_t addr, uintptr_t pc);           \
  ENTRY(name, "rcx")                                                                    \
  void recorded_##name(const struct goroutine* goroutine, uintptr_t addr, uintptr_t pc, \
                       uintptr_t distance) {                                            \
    bool recorded = recording_enter();                                                  \
    if (recorded) put_on(stack_of(distance), op, goroutine, addr, 0, pc);               \
    real_tsan_##name(goroutine->thread, addr, pc);                                      \
    if (recorded) recording_leave();                                                    \
  }
ACCESS_CALL(read, OP_READ)
ACCESS_CALL(write, OP_WRITE)

#define ACCESS_CALL_WITH(name, op, arg)                                                                \
  void real_tsan_##name(struct thread* thread, uintptr_t addr, uintptr_t arg, uintptr_t pc);           \
  ENTRY(name, "r8")                                                                                    \
  void recorded_##name(const struct goroutine* goroutine, uintptr_t addr, uintptr_t arg, uintptr_t pc, \
                       uintptr_t distance) {                                                           \
    bool recorded = recording_enter();                                                                 \
    if (recorded) put_on(stack_of(distance), op, goroutine, addr, arg, pc);                            \
    real_tsan_##name(goroutine->thread, addr, arg, pc);                                                \
    if (recorded) recording_leave();                                                                   \
  }
ACCESS_CALL_WITH(read_pc, OP_READ_PC, caller_pc)
ACCESS_CALL_WITH(write_pc, OP_WRITE_PC, caller_pc)
ACCESS_CALL_WITH(read_range, OP_READ_RANGE, size)
ACCESS_CALL_WITH(write_range, OP_WRITE_RANGE, size)

// Atomics. `frame` is the Go call's arguments: the address, then operands of 4 or 8 bytes, then results.

static struct event* put_atomic(enum stack stack, enum op op, uint16_t size,
                                const struct goroutine* goroutine, uintptr_t caller_pc, uintptr_t pc,
                                const uint8_t* frame) {
  uint64_t addr = *(const uint64_t*)frame;
  struct event event = {
      .op = (uint8_t)op,
      .size = size,
      .goroutine = goroutine->number,
      // The processor takes one that lies across two granules; shadow, and so the format, does not.
      .addr = addr % 8 + size > 8 ? addr - addr % 8 : addr,
      .arg = caller_pc,
      .pc = pc,
  };
  return recording_put(event, stack);
}

#define ATOMIC_CALL(name, op, size)                                                                          \
  void real_tsan_##name(struct thread* thread, uintptr_t caller_pc, uintptr_t pc, uint8_t* frame);           \
  ENTRY(name, "r8")                                                                                          \
  void recorded_##name(const struct goroutine* goroutine, uintptr_t caller_pc, uintptr_t pc, uint8_t* frame, \
                       uintptr_t distance) {                                                                 \
    bool recorded = recording_enter();                                                                       \
    if (recorded) put_atomic(stack_of(distance), op, size, goroutine, caller_pc, pc, frame);                 \
    real_tsan_##name(goroutine->thread, caller_pc, pc, frame);                                               \
    if (recorded) recording_leave();                                                                         \
  }
ATOMIC_CALL(go_atomic32_load, OP_ATOMIC_LOAD, 4)
ATOMIC_CALL(go_atomic64_load, OP_ATOMIC_LOAD, 8)
ATOMIC_CALL(go_atomic32_store, OP_ATOMIC_STORE, 4)
ATOMIC_CALL(go_atomic64_store, OP_ATOMIC_STORE, 8)
ATOMIC_CALL(go_atomic32_exchange, OP_ATOMIC_EXCHANGE, 4)
ATOMIC_CALL(go_atomic64_exchange, OP_ATOMIC_EXCHANGE, 8)
ATOMIC_CALL(go_atomic32_fetch_add, OP_ATOMIC_FETCH_ADD, 4)
ATOMIC_CALL(go_atomic64_fetch_add, OP_ATOMIC_FETCH_ADD, 8)
#ifdef HAVE_FETCH_AND_OR
// Since Go 1.23. What they do to the order of things is what an addition does.
ATOMIC_CALL(go_atomic32_fetch_and, OP_ATOMIC_FETCH_ADD, 4)
ATOMIC_CALL(go_atomic64_fetch_and, OP_ATOMIC_FETCH_ADD, 8)
ATOMIC_CALL(go_atomic32_fetch_or, OP_ATOMIC_FETCH_ADD, 4)
ATOMIC_CALL(go_atomic64_fetch_or, OP_ATOMIC_FETCH_ADD, 8)
#endif

// The result of a compare-and-swap follows the address, the old value and the new one, at 16 or 24.
#define COMPARE_CALL(name, size, result_at)                                                                  \
  void real_tsan_##name(struct thread* thread, uintptr_t caller_pc, uintptr_t pc, uint8_t* frame);           \
  ENTRY(name, "r8")                                                                                          \
  void recorded_##name(const struct goroutine* goroutine, uintptr_t caller_pc, uintptr_t pc, uint8_t* frame, \
                       uintptr_t distance) {                                                                 \
    bool recorded = recording_enter();                                                                       \
    struct event* event = NULL;                                                                              \
    if (recorded)                                                                                            \
      event =                                                                                                \
          put_atomic(stack_of(distance), OP_ATOMIC_COMPARE_AND_SWAP, size, goroutine, caller_pc, pc, frame); \
    real_tsan_##name(goroutine->thread, caller_pc, pc, frame);                                               \
    if (!recorded) return;                                                                                   \
    event->flags = frame[result_at] != 0 ? FLAG_SUCCEEDED : 0;                                               \
    recording_leave();                                                                                       \
  }
COMPARE_CALL(go_atomic32_compare_exchange, 4, 16)
COMPARE_CALL(go_atomic64_compare_exchange, 8, 24)
