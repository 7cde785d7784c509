// The recorder, written to by several threads at once, without Go: what sanitizers watch. tsan.c is left out,
// whose functions have the names that ThreadSanitizer's own have.
//
//     recorder_test FOLDER
//
// A child records, to the end or to a limit; what it leaves in the folder is looked at then. Exits 0 and
// prints the number of checks if all hold; otherwise a line for each that does not, and exits 1.
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/recording.h"

#define THREADS 4
#define EVENTS_EACH 20000u
#define EVENTS (THREADS * EVENTS_EACH + 1)  // and Finalize
// More than the recorder's table of them has at first.
#define PCS 9000u
#define FIRST_PC 0x400000u

static int checks;
static int failures;

static void check(bool holds, const char* what) {
  checks++;
  if (holds) return;
  failures++;
  printf("recorder_test.c: not so: %s\n", what);
}

// What the callback is given and gives back (native/recorder/symbols.c).
struct frame {
  uintptr_t pc;
  const char* function;
  const char* file;
  uintptr_t line;
  uintptr_t offset;
  uintptr_t found;
};

// What this thread plays: from a system stack Go's callback must not be called.
static _Thread_local enum stack stack;

// Names what lies at a pc: most functions, each inlined into another; some have names that no line has room
// for.
static void name_pc(uintptr_t command, void* context) {
  static char long_name[2 * SYMBOL_LINE_BYTES];
  (void)command;
  if (stack == SYSTEM_STACK) abort();
  struct frame* frame = context;
  if (frame->pc % 7 == 0) return;
  memset(long_name, 'x', sizeof long_name - 1);
  frame->function = frame->pc % 11 == 0 ? long_name : "main.f\tt\n";
  frame->file = "/a/b.go";
  frame->line = frame->pc % 1000;
  frame->found = 1;
  if (frame->pc < FIRST_PC + PCS) frame->pc += PCS;
}

// Each event of a thread has the next address.
static void* record(void* context) {
  const uint32_t thread = *(const uint32_t*)context;
  for (uint64_t i = 0; i < EVENTS_EACH; i++) {
    struct event event = {.op = OP_WRITE, .size = 1, .goroutine = thread, .addr = 8 * i};
    event.pc = FIRST_PC + (thread + i * 7919) % PCS;
    if (i % 50 == 0) event.op = OP_GO_START;
    if (i % 3 == 0) event.op = OP_ATOMIC_COMPARE_AND_SWAP;
    stack = event.op == OP_GO_START || i % 20 == 7 ? SYSTEM_STACK : GOROUTINE_STACK;
    if (!recording_enter()) return NULL;
    struct event* written = recording_put(event, stack);
    if (event.op == OP_ATOMIC_COMPARE_AND_SWAP) written->flags = FLAG_SUCCEEDED;
    recording_leave();
  }
  return NULL;
}

static void run_threads(void) {
  pthread_t threads[THREADS];
  uint32_t numbers[THREADS];
  recording_begin(name_pc);
  for (uint32_t i = 0; i < THREADS; i++) {
    numbers[i] = i + 1;
    if (pthread_create(&threads[i], NULL, record, &numbers[i]) != 0) abort();
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  if (!recording_enter()) return;
  recording_finalize();
  recording_leave();
}

static void events_are_in_order(const struct event* events, uint64_t count) {
  uint64_t next[THREADS + 1] = {0};
  bool holds = true;
  for (uint64_t i = 0; i < count; i++) {
    const struct event* event = &events[i];
    if (event->op == OP_FINALIZE) {
      holds = holds && i == EVENTS - 1;
      continue;
    }
    bool is_known = event->goroutine >= 1 && event->goroutine <= THREADS;
    holds = holds && is_known && event->addr == 8 * next[event->goroutine]++ &&
            event->flags == (event->op == OP_ATOMIC_COMPARE_AND_SWAP ? FLAG_SUCCEEDED : 0);
    if (!holds) break;
  }
  check(holds, "each thread's events are there, whole, in its order");
}

static void every_line_ends(const char* text, size_t length, uint64_t wanted) {
  uint64_t lines = 0;
  for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
  check(lines == wanted, "there is a line for each pc");
  check(length == 0 || text[length - 1] == '\n', "the last line is whole");
}

static void check_file(const char* path, uint64_t wanted, uint64_t wanted_pcs) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  check(fd >= 0 && fstat(fd, &status) == 0, "there is a recording");
  if (fd < 0) return;
  const size_t size = (size_t)status.st_size;
  const char* bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (bytes == MAP_FAILED) abort();
  struct header header;
  memcpy(&header, bytes, sizeof header);
  check(memcmp(header.magic, MAGIC, sizeof header.magic) == 0, "the recording is finished");
  check(header.event_count == wanted, "it has all events, up to the limit");
  check(wanted_pcs == 0 || header.pc_count == wanted_pcs, "it has all pcs");
  const bool fits = header.symbol_offset == sizeof header + header.event_count * sizeof(struct event);
  check(fits && header.symbol_offset <= size, "its parts lie one after the other");
  if (fits && header.symbol_offset <= size) {
    events_are_in_order((const struct event*)(bytes + sizeof header), header.event_count);
    every_line_ends(bytes + header.symbol_offset, size - header.symbol_offset, header.pc_count);
  }
  munmap((void*)bytes, size);
  unlink(path);
}

// In a child, since there is one recording in the life of a process.
static void record_in_child(const char* folder, uint64_t limit, uint64_t wanted_pcs) {
  char path[4096];
  snprintf(path, sizeof path, "%s/recording", folder);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, limit);
    setenv("LAZYSHADOW_RECORD", path, 1);
    setenv("LAZYSHADOW_RECORD_MAX_EVENTS", text, 1);
    run_threads();
    exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the program ends well");
  check_file(path, limit < EVENTS ? limit : EVENTS, wanted_pcs);
}

int main(int count, char** arguments) {
  if (count < 2) return 2;
  record_in_child(arguments[1], EVENTS, PCS);
  record_in_child(arguments[1], EVENTS / 2, 0);
  record_in_child(arguments[1], 1, 0);
  printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
