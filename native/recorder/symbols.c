// See symbols.h. The line's format is lib/trace/symbols.ts's.
#include "symbols.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PLACES ((uint64_t)1 << 13)

// The callback's command for "what lies at this pc", and what it is given and gives back (runtime/race.go).
#define SYMBOLIZE_CODE 1
struct symbolize_code {
  uintptr_t pc;
  const char* function;
  const char* file;
  uintptr_t line;
  uintptr_t offset;
  uintptr_t found;
};

#define NUMBERS_BYTES 48
static char line[SYMBOL_LINE_BYTES];

int symbols_begin(struct symbols* symbols, struct part* part, go_callback callback) {
  uint64_t* table = calloc(FIRST_PLACES, sizeof *table);
  if (table == NULL) return ENOMEM;
  *symbols = (struct symbols){.callback = callback, .part = part, .table = table, .mask = FIRST_PLACES - 1};
  return 0;
}

static int grow(struct symbols* symbols) {
  struct symbols larger = *symbols;
  larger.mask = 2 * symbols->mask + 1;
  larger.table = calloc(larger.mask + 1, sizeof *larger.table);
  if (larger.table == NULL) return ENOMEM;
  for (uint64_t i = 0; i <= symbols->mask; i++) {
    uint64_t pc = symbols->table[i];
    if (pc != 0) larger.table[symbols_place(&larger, pc)] = pc;
  }
  free(symbols->table);
  *symbols = larger;
  return 0;
}

// Adds a tab and the text, in which nothing can end the field.
static size_t put_field(size_t length, const char* text, size_t text_length) {
  line[length++] = '\t';
  for (size_t i = 0; i < text_length; i++) line[length++] = (unsigned char)text[i] < ' ' ? '?' : text[i];
  return length;
}

static size_t write_line(const struct symbols* symbols, uint64_t pc) {
  size_t length = (size_t)snprintf(line, SYMBOL_LINE_BYTES, "%llx", (unsigned long long)pc);
  // Go looks a return address up in the call before it.
  uintptr_t at = (uintptr_t)(pc - 1);
  for (;;) {
    struct symbolize_code frame = {.pc = at};
    symbols->callback(SYMBOLIZE_CODE, &frame);
    const char* function = frame.found != 0 && frame.function != NULL ? frame.function : "??";
    const char* file = frame.found != 0 && frame.file != NULL ? frame.file : "-";
    size_t function_length = strlen(function);
    size_t file_length = strlen(file);
    if (length + function_length + file_length + NUMBERS_BYTES > SYMBOL_LINE_BYTES) break;
    length = put_field(length, function, function_length);
    length = put_field(length, file, file_length);
    length += (size_t)snprintf(line + length, NUMBERS_BYTES, "\t%llu\t%llu", (unsigned long long)frame.line,
                               (unsigned long long)frame.offset);
    // It answers with a pc in the caller while there is one that this frame was inlined into.
    if (frame.found == 0 || frame.pc == at) break;
    at = frame.pc;
  }
  line[length++] = '\n';
  return length;
}

int symbols_add(struct symbols* symbols, uint64_t pc) {
  if (symbols_know(symbols, pc)) return 0;
  int error = 2 * symbols->pc_count > symbols->mask ? grow(symbols) : 0;
  if (error == 0) error = part_add_line(symbols->part, line, write_line(symbols, pc));
  if (error != 0) return error;
  symbols->table[symbols_place(symbols, pc)] = pc;
  symbols->pc_count++;
  return 0;
}

int symbols_add_waiting(struct symbols* symbols) {
  int error = 0;
  while (symbols->waiting_count > 0 && error == 0)
    error = symbols_add(symbols, symbols->waiting[--symbols->waiting_count]);
  return error;
}

void symbols_defer(struct symbols* symbols, uint64_t pc) {
  for (unsigned i = 0; i < symbols->waiting_count; i++)
    if (symbols->waiting[i] == pc) return;
  if (symbols->waiting_count < MAX_WAITING) symbols->waiting[symbols->waiting_count++] = pc;
}
