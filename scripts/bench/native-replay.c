/*
 * Feeds a recording to Go's own race runtime, the object that `go build -race` links into programs, and prints
 * how long it took. It is what `npm run bench` compares with.
 *
 *     cc -O2 native-replay.c $(go env GOROOT)/src/runtime/race/race_linux_amd64.syso -o native-replay
 *     ./native-replay program.trc      →  {"events":…,"cpuNs":…,"peakRssBytes":…,"reportCount":…,"firstTouchNs":…}
 *
 * The entry points are those that Go's runtime calls (src/runtime/race.go, race_amd64.s), with C's calling
 * convention. One thread makes all calls, in the order of the recording. The recording is in memory
 * before the clock starts, so reading it is not counted.
 *
 * Atomics are real operations on application memory, so that is mapped where the program had it.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef void *Context; /* ThreadState of the runtime */

void __tsan_init(Context *context, Context *processor, void (*callback)(uintptr_t, void *));
void __tsan_map_shadow(uintptr_t address, uintptr_t size);
void __tsan_go_start(Context parent, Context *child, uintptr_t pc);
void __tsan_go_end(Context context);
void __tsan_read(Context context, uintptr_t address, uintptr_t pc);
void __tsan_read_pc(Context context, uintptr_t address, uintptr_t caller, uintptr_t pc);
void __tsan_write(Context context, uintptr_t address, uintptr_t pc);
void __tsan_write_pc(Context context, uintptr_t address, uintptr_t caller, uintptr_t pc);
void __tsan_read_range(Context context, uintptr_t address, uintptr_t size, uintptr_t pc);
void __tsan_write_range(Context context, uintptr_t address, uintptr_t size, uintptr_t pc);
void __tsan_func_enter(Context context, uintptr_t pc);
void __tsan_func_exit(Context context);
void __tsan_malloc(Context context, uintptr_t pc, uintptr_t address, uintptr_t size);
void __tsan_free(uintptr_t address, uintptr_t size);
void __tsan_acquire(Context context, uintptr_t address);
void __tsan_release(Context context, uintptr_t address);
void __tsan_release_merge(Context context, uintptr_t address);
void __tsan_release_acquire(Context context, uintptr_t address);
void __tsan_finalizer_goroutine(Context context);
void __tsan_go_ignore_sync_begin(Context context);
void __tsan_go_ignore_sync_end(Context context);
void __tsan_report_count(int *count);

typedef void Atomic(Context context, uintptr_t caller, uintptr_t pc, void *arguments);
Atomic __tsan_go_atomic32_load, __tsan_go_atomic64_load;
Atomic __tsan_go_atomic32_store, __tsan_go_atomic64_store;
Atomic __tsan_go_atomic32_exchange, __tsan_go_atomic64_exchange;
Atomic __tsan_go_atomic32_fetch_add, __tsan_go_atomic64_fetch_add;
Atomic __tsan_go_atomic32_compare_exchange, __tsan_go_atomic64_compare_exchange;

/* lib/trace/format.ts draws both. */
struct header {
  char magic[8];
  uint64_t version, event_count, symbol_offset, pc_count;
  uint64_t reserved[3];
};

struct event {
  uint8_t op, flags;
  uint16_t size;
  uint32_t goroutine;
  uint64_t address, argument, pc;
};

static Context processor;
static Context *contexts; /* by goroutine */
static size_t context_count;

/* What the runtime asks: 0, which processor it runs on; 1 and 2, symbols, which it gets none of. */
static void callback(uintptr_t command, void *argument) {
  if (command == 0) *(Context *)argument = processor;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void remember(uint64_t goroutine, Context context) {
  if (goroutine >= context_count) {
    size_t count = (goroutine + 1) * 2;
    contexts = realloc(contexts, count * sizeof *contexts);
    if (contexts == NULL) fail("realloc");
    memset(contexts + context_count, 0, (count - context_count) * sizeof *contexts);
    context_count = count;
  }
  contexts[goroutine] = context;
}

/* Maps the application memory itself: pages that no atomic touches are never there. */
static void map_application(uint64_t address, uint64_t size) {
  uint64_t page = 4096, start = address & ~(page - 1), end = (address + size + page - 1) & ~(page - 1);
  for (uint64_t at = start; at < end;) {
    /* Neighbouring calls may share a page, which must keep what it holds. */
    uint64_t length = at == start || end - at == page ? page : end - at - page;
    void *got = mmap((void *)at, length, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED && length > page) fail("mmap");
    at += length;
  }
}

/* Calls an atomic with its arguments where Go's assembly puts them: on the stack, in Go's order. */
static void atomic(const struct event *event, Context context) {
  int wide = event->size == 8;
  struct {
    uint64_t address, words[3];
  } arguments = {event->address, {0}};
  Atomic *call;
  switch (event->op) {
  case 23:
    call = wide ? __tsan_go_atomic64_load : __tsan_go_atomic32_load;
    break;
  case 24:
    call = wide ? __tsan_go_atomic64_store : __tsan_go_atomic32_store;
    break;
  case 25:
    call = wide ? __tsan_go_atomic64_exchange : __tsan_go_atomic32_exchange;
    break;
  case 26:
    call = wide ? __tsan_go_atomic64_fetch_add : __tsan_go_atomic32_fetch_add;
    break;
  default: {
    /* It succeeds if it compares with what is there, as it did in the program. */
    uint64_t there = wide ? *(uint64_t *)event->address : *(uint32_t *)event->address;
    uint64_t expected = event->flags & 1 ? there : there + 1;
    if (wide) {
      arguments.words[0] = expected;
      arguments.words[1] = there;
    } else {
      arguments.words[0] = (uint32_t)expected | there << 32;
    }
    call = wide ? __tsan_go_atomic64_compare_exchange : __tsan_go_atomic32_compare_exchange;
  }
  }
  call(context, event->argument, event->pc, &arguments);
}

static void replay(const struct event *events, uint64_t count) {
  for (const struct event *event = events; event < events + count; event++) {
    uint64_t address = event->address, argument = event->argument, pc = event->pc;
    Context context = contexts[event->goroutine];
    switch (event->op) {
    case 1: remember(event->goroutine, contexts[0]); break;
    case 3:
      map_application(address, argument);
      __tsan_map_shadow(address, argument);
      break;
    case 4: {
      Context child;
      __tsan_go_start(event->goroutine == 0 ? NULL : context, &child, pc);
      remember(argument, child);
      break;
    }
    case 5: __tsan_go_end(context); break;
    case 6: __tsan_read(context, address, pc); break;
    case 7: __tsan_read_pc(context, address, argument, pc); break;
    case 8: __tsan_write(context, address, pc); break;
    case 9: __tsan_write_pc(context, address, argument, pc); break;
    case 10: __tsan_read_range(context, address, argument, pc); break;
    case 11: __tsan_write_range(context, address, argument, pc); break;
    case 12: __tsan_func_enter(context, pc); break;
    case 13: __tsan_func_exit(context); break;
    case 14: __tsan_malloc(NULL, 0, address, argument); break;
    case 15: __tsan_free(address, argument); break;
    case 16: __tsan_acquire(context, address); break;
    case 17: __tsan_release(context, address); break;
    case 18: __tsan_release_merge(context, address); break;
    case 19: __tsan_release_acquire(context, address); break;
    case 20: __tsan_finalizer_goroutine(context); break;
    case 21: __tsan_go_ignore_sync_begin(context); break;
    case 22: __tsan_go_ignore_sync_end(context); break;
    case 23: case 24: case 25: case 26: case 27: atomic(event, context); break;
    }
  }
}

static uint64_t cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* The most that was resident. Not from getrusage, which begins with what the parent had. */
static long long peak_rss(void) {
  FILE *status = fopen("/proc/self/status", "r");
  char line[256];
  long long kib = 0;
  while (status != NULL && fgets(line, sizeof line, status) != NULL) sscanf(line, "VmHWM: %lld", &kib);
  return kib * 1024;
}

/*
 * What the first write to a page costs, in ns. The runtime, started anew, pays it for all its traces and shadow, and from
 * machine to machine it differs more than anything else does.
 */
static uint64_t first_touch_ns(void) {
  enum { PAGES = 256 };
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  volatile char *memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  madvise((void *)memory, PAGES * page, MADV_NOHUGEPAGE); /* refused where there are no huge pages to do without */
  uint64_t start = cpu_ns();
  for (size_t i = 0; i < PAGES; i++) memory[i * page] = 1;
  uint64_t taken = cpu_ns() - start;
  if (munmap((void *)memory, PAGES * page) != 0) fail("munmap");
  return taken / PAGES;
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (file == NULL) fail("usage: native-replay RECORDING");
  struct header header;
  if (fread(&header, sizeof header, 1, file) != 1 || memcmp(header.magic, "RACETRC1", 8) != 0) fail("header");
  /* Pages of the file itself, so that the recording is no part of what the runtime is charged with; its resident pages are taken off below. */
  size_t length = sizeof header + header.event_count * sizeof(struct event);
  const char *bytes = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_POPULATE, fileno(file), 0);
  if (bytes == MAP_FAILED) fail("mmap");

  uint64_t first_touch = first_touch_ns();
  Context initial;
  __tsan_init(&initial, &processor, callback);
  remember(0, initial);
  uint64_t start = cpu_ns();
  replay((const struct event *)(bytes + sizeof header), header.event_count);
  uint64_t taken = cpu_ns() - start;

  int reports = 0;
  __tsan_report_count(&reports);
  printf("{\"events\":%llu,\"cpuNs\":%llu,\"peakRssBytes\":%lld,\"reportCount\":%d,\"firstTouchNs\":%llu}\n",
         (unsigned long long)header.event_count, (unsigned long long)taken, peak_rss() - (long long)length, reports,
         (unsigned long long)first_touch);
  fflush(stdout);
  _exit(0); /* not by way of the runtime's own exit, which would set the exit code and wait */
}
