// The recorder's half of racetrace v1, whose other half is lib/trace/format.ts: header, events and their
// numbers.
#pragma once

#include <stdint.h>

struct header {
  char magic[8];
  uint64_t version;
  uint64_t event_count;
  uint64_t symbol_offset;
  uint64_t pc_count;
  uint64_t reserved[3];
};
_Static_assert(sizeof(struct header) == 64, "the format has a header of 64 bytes");

#define MAGIC "RACETRC1"
#define VERSION 1

struct event {
  uint8_t op;
  uint8_t flags;
  uint16_t size;
  uint32_t goroutine;
  uint64_t addr;
  uint64_t arg;
  uint64_t pc;
};
_Static_assert(sizeof(struct event) == 32, "the format has events of 32 bytes");

enum op {
  OP_INITIALIZE = 1,
  OP_FINALIZE,
  OP_MAP_SHADOW,
  OP_GO_START,
  OP_GO_END,
  OP_READ,
  OP_READ_PC,
  OP_WRITE,
  OP_WRITE_PC,
  OP_READ_RANGE,
  OP_WRITE_RANGE,
  OP_FUNC_ENTER,
  OP_FUNC_EXIT,
  OP_MALLOC,
  OP_FREE,
  OP_ACQUIRE,
  OP_RELEASE,
  OP_RELEASE_MERGE,
  OP_RELEASE_ACQUIRE,
  OP_FINALIZER_GOROUTINE,
  OP_IGNORE_SYNC_BEGIN,
  OP_IGNORE_SYNC_END,
  OP_ATOMIC_LOAD,
  OP_ATOMIC_STORE,
  OP_ATOMIC_EXCHANGE,
  OP_ATOMIC_FETCH_ADD,
  OP_ATOMIC_COMPARE_AND_SWAP,
};
_Static_assert(OP_ATOMIC_COMPARE_AND_SWAP == 27, "the format has ops 1 to 27");

#define FLAG_SUCCEEDED 1
