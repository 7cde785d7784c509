// See recording.h.
#define _GNU_SOURCE
#include "recording.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// What a forked child finds zeroed, so that it records nothing and waits for nobody.
struct gate {
  atomic_uint on;
  atomic_uint lock;  // 0 free, 1 taken, 2 taken and waited for
};

static struct gate closed_gate;
static struct gate* gate = &closed_gate;

static struct file recording;
static struct part part;
static struct symbols symbols;
static char recording_path[4096];
static char part_path[sizeof recording_path + sizeof ".part"];
static uint64_t event_count;
static uint64_t max_events;
static uint64_t max_bytes;
static uint32_t goroutines;
static bool finalized;
// Where an event goes once the recording has ended.
static struct event nowhere;

// libc's atexit is not in its shared object, where Go's linker looks.
int __cxa_atexit(void (*function)(void*), void* argument, void* object);
extern char** environ;

// How often a taken lock is looked at before its waiter sleeps, and the longest pause between two looks. A
// look takes the lock's cache line away from its holder: pauses let the holder make some tens of calls (20 ns
// each) meanwhile.
#define MAX_LOOKS 40
#define MAX_PAUSES 64

static void futex(int operation, unsigned value) {
  syscall(SYS_futex, &gate->lock, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static bool try_lock(void) {
  unsigned expected = 0;
  return atomic_load_explicit(&gate->lock, memory_order_relaxed) == 0 &&
         atomic_compare_exchange_strong_explicit(&gate->lock, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

static void lock(void) {
  int pauses = 1;
  for (int looks = 0; looks < MAX_LOOKS; looks++) {
    if (try_lock()) return;
    for (int i = 0; i < pauses; i++) __builtin_ia32_pause();
    if (pauses < MAX_PAUSES) pauses *= 2;
  }
  while (atomic_exchange_explicit(&gate->lock, 2, memory_order_acquire) != 0) futex(FUTEX_WAIT, 2);
}

void recording_leave(void) {
  if (atomic_exchange_explicit(&gate->lock, 0, memory_order_release) == 2) futex(FUTEX_WAKE, 1);
}

bool recording_enter(void) {
  if (!atomic_load_explicit(&gate->on, memory_order_relaxed)) return false;
  lock();
  if (atomic_load_explicit(&gate->on, memory_order_relaxed)) return true;
  recording_leave();
  return false;
}

static void say(const char* format, ...) {
  char text[sizeof recording_path + 256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length > (int)sizeof text - 1) length = sizeof text - 1;
  // Nothing is left to do about a message that cannot be written.
  if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0) return;
}

// Ends the recording after `event_count` events with the symbols and the header. Returns 0 or an errno.
static int write_ending(void) {
  struct header header = {
      .magic = MAGIC,
      .version = VERSION,
      .event_count = event_count,
      .symbol_offset = sizeof header + sizeof(struct event) * event_count,
      .pc_count = symbols.pc_count,
  };
  if (ftruncate(recording.fd, (off_t)header.symbol_offset) != 0) return errno;
  int error = part_copy_text(&part, &recording, header.symbol_offset);
  return error == 0 ? file_write(&recording, &header, sizeof header, 0) : error;
}

// Makes the recording whole. Returns 0 or an errno; the part is then still needed.
static int put_together(void) {
  int error = part_flush(&part, &recording);
  uint64_t flushed = (part.head->begin - sizeof(struct header)) / sizeof(struct event);
  if (error == 0) error = write_ending();
  if (error != ENOSPC && error != EDQUOT) return error;
  // On a full disk the last events make room for the symbols.
  uint64_t room = part.text_bytes / sizeof(struct event) + PART_WINDOW_EVENTS;
  event_count = flushed > room ? flushed - room : 0;
  return write_ending();
}

// Ends the recording, with the lock held.
static void finish(void) {
  atomic_store(&gate->on, 0);
  int error = put_together();
  if (error == 0)
    unlink(part_path);
  else
    say("lazyshadow: %s is not finished: %s. Make room, then run: lazyshadow record --finish %s\n",
        recording_path, strerror(error), recording_path);
  close(part.file.fd);
  close(recording.fd);
}

// Ends it before the program ends.
static struct event* stop(const char* reason) {
  finish();
  say("lazyshadow: the recording stops after %llu events: %s. The program goes on.\n",
      (unsigned long long)event_count, reason);
  return &nowhere;
}

static int note_pc(uint64_t pc, enum stack stack) {
  if (symbols_know(&symbols, pc)) return 0;
  if (stack == GOROUTINE_STACK) return symbols_add(&symbols, pc);
  symbols_defer(&symbols, pc);
  return 0;
}

// Sees to it that the event's pcs have their symbols. Returns 0 or an errno.
static int note_pcs(const struct event* event, enum stack stack) {
  int error = stack == GOROUTINE_STACK ? symbols_add_waiting(&symbols) : 0;
  if (error == 0) error = note_pc(event->pc, stack);
  // What is no caller's pc in this field is a size or a goroutine.
  bool has_caller = event->op == OP_READ_PC || event->op == OP_WRITE_PC || event->op >= OP_ATOMIC_LOAD;
  return error == 0 && has_caller ? note_pc(event->arg, stack) : error;
}

struct event* recording_put(struct event event, enum stack stack) {
  if (!atomic_load_explicit(&gate->on, memory_order_relaxed)) return &nowhere;
  if (event_count == max_events) return stop("that is --max-events");
  int error = note_pcs(&event, stack);
  if (error == 0 && part.used == PART_WINDOW_EVENTS) error = part_flush(&part, &recording);
  if (error != 0) return stop(strerror(error));
  if (sizeof(struct header) + (event_count + 1) * sizeof event + part.text_bytes > max_bytes)
    return stop("more would exceed --max-size, or ulimit -f");

  struct event* slot = &part.window[part.used++];
  slot->addr = event.addr;
  slot->arg = event.arg;
  slot->pc = event.pc;
  // Until its op is written an event is not there, for whoever finishes the recording of a killed program.
  uint64_t head;
  memcpy(&head, &event, sizeof head);
  __atomic_store_n((uint64_t*)slot, head, __ATOMIC_RELEASE);
  event_count++;
  return slot;
}

uint32_t recording_next_goroutine(void) {
  return ++goroutines;
}

void recording_finalize(void) {
  finalized = true;
  // A goroutine has called: the last chance to ask. What cannot be written is not missed by the events.
  (void)symbols_add_waiting(&symbols);
}

// Runs when the program leaves through libc's exit, as it does at its end under the race runtime.
static void at_exit(void* unused) {
  (void)unused;
  if (!recording_enter()) return;
  if (finalized) recording_put((struct event){.op = OP_FINALIZE}, SYSTEM_STACK);
  if (atomic_load(&gate->on)) finish();
  recording_leave();
}

// The value of a variable of the environment, which loses it. Go reads its environment after this.
static const char* take_variable(const char* name) {
  size_t length = strlen(name);
  for (char** entry = environ; entry != NULL && *entry != NULL; entry++) {
    if (strncmp(*entry, name, length) != 0 || (*entry)[length] != '=') continue;
    const char* value = *entry + length + 1;
    do entry[0] = entry[1];
    while (*entry++ != NULL);
    return value;
  }
  return NULL;
}

// A limit that is not given, or no number, is none.
static uint64_t limit_of(const char* text) {
  uint64_t value = text == NULL ? 0 : strtoull(text, NULL, 10);
  return value == 0 ? UINT64_MAX : value;
}

// Writes the path that the pattern means; false if it does not fit. An absolute one: the program may change
// directory.
static bool expand_path(const char* pattern) {
  size_t length = 0;
  if (pattern[0] != '/') {
    if (getcwd(recording_path, sizeof recording_path) == NULL) return false;
    length = strlen(recording_path);
    recording_path[length++] = '/';
  }
  for (const char* c = pattern; *c != 0; c++) {
    size_t room = sizeof recording_path - length;
    int added;
    if (c[0] == '%' && c[1] == 'p')
      added = snprintf(recording_path + length, room, "%d", (int)getpid());
    else if (c[0] == '%' && c[1] == 'n')
      added = snprintf(recording_path + length, room, "%s", program_invocation_short_name);
    else
      added = snprintf(recording_path + length, room, "%c", *c);
    if (added < 0 || (size_t)added >= room) return false;
    length += (size_t)added;
    if (c[0] == '%' && (c[1] == 'p' || c[1] == 'n')) c++;
  }
  snprintf(part_path, sizeof part_path, "%s.part", recording_path);
  return true;
}

static int open_files(go_callback callback) {
  // Until it is finished, the recording begins with what no reader takes for one.
  static const struct header unfinished = {.magic = PART_MAGIC};
  int error = file_create(&recording, recording_path);
  if (error != 0) return error;
  error = file_write(&recording, &unfinished, sizeof unfinished, 0);
  if (error == 0) error = part_create(&part, part_path, sizeof unfinished);
  if (error == 0) error = symbols_begin(&symbols, &part, callback);
  if (error != 0) unlink(recording_path);
  return error;
}

static int open_gate(void) {
  void* page = mmap(NULL, sizeof(struct gate), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno;
  // A kernel older than 4.14 does not know it; there a child that is forked and does not exec is recorded
  // too.
  (void)madvise(page, sizeof(struct gate), MADV_WIPEONFORK);
  gate = page;
  atomic_store(&gate->on, 1);
  return 0;
}

// Past `ulimit -f` the kernel sends a signal that would end the program.
static int keep_below_file_limit(void) {
  // The part is longer than its text by this and, until the next look at the size, by two lines.
  const uint64_t needed = PART_TEXT_OFFSET + 2 * SYMBOL_LINE_BYTES;
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return errno;
  if (limit.rlim_cur == RLIM_INFINITY) return 0;
  if (limit.rlim_cur <= needed) return EFBIG;
  if (limit.rlim_cur - needed < max_bytes) max_bytes = limit.rlim_cur - needed;
  return 0;
}

void recording_begin(go_callback callback) {
  const char* pattern = take_variable("LAZYSHADOW_RECORD");
  max_events = limit_of(take_variable("LAZYSHADOW_RECORD_MAX_EVENTS"));
  max_bytes = limit_of(take_variable("LAZYSHADOW_RECORD_MAX_BYTES"));
  if (pattern == NULL || *pattern == 0) return;
  int error = keep_below_file_limit();
  if (error == 0) error = expand_path(pattern) ? open_files(callback) : ENAMETOOLONG;
  if (error == 0) error = __cxa_atexit(at_exit, NULL, NULL) == 0 ? open_gate() : ENOMEM;
  if (error != 0) say("lazyshadow: %s: %s. Nothing is recorded.\n", pattern, strerror(error));
}
