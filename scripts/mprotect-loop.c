// The measure of bench-mapshadow.mjs: the least that committing shadow can cost, system calls and nothing
// else.
//
//     mprotect-loop CALLS (SPAN_ADDRESS SPAN_SIZE FIRST_ADDRESS STEP)...
//
// Reserves each span, then makes CALLS steps: each makes the next STEP bytes of each span readable and
// writable. Prints nanoseconds of processor time for each step.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { MAX_SPANS = 4 };

static double processorTime(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char** argv) {
  const long calls = argc > 1 ? atol(argv[1]) : 0;
  const int spans = (argc - 2) / 4;
  char* next[MAX_SPANS];
  size_t step[MAX_SPANS];
  if (calls <= 0 || spans < 1 || spans > MAX_SPANS) return 2;
  for (int i = 0; i < spans; ++i) {
    char** const given = argv + 2 + 4 * i;
    char* const address = (char*)strtoull(given[0], NULL, 0);
    const size_t size = strtoull(given[1], NULL, 0);
    char* const start = mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return perror("mmap"), 1;
    madvise(start, size, MADV_NOHUGEPAGE);
    madvise(start, size, MADV_DONTDUMP);
    next[i] = start + (strtoull(given[2], NULL, 0) - (size_t)address);
    step[i] = strtoull(given[3], NULL, 0);
  }
  const double begin = processorTime();
  for (long call = 0; call < calls; ++call) {
    for (int i = 0; i < spans; ++i) {
      if (mprotect(next[i], step[i], PROT_READ | PROT_WRITE) != 0) return perror("mprotect"), 1;
      next[i] += step[i];
    }
  }
  printf("%.1f\n", (processorTime() - begin) / calls);
  return 0;
}
