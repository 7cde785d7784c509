// The file beside an unfinished recording, FILE.part: what it still lacks, wherever its program is stopped.
//
//     0             4096                   4096 + 256 KiB
//     ┌────────────┬──────────────────────┬──────────────────────────────┐
//     │ magic      │ the last events,     │ symbol text, as far as it is │
//     │ begin, u64 │ op 0 after the last  │ known                        │
//     └────────────┴──────────────────────┴──────────────────────────────┘
//
// `begin` is where in the recording the first event of the window belongs. Window and head are mapped memory:
// what is stored there is the kernel's at once, so that SIGKILL takes nothing away. A full window goes to the
// recording in one write and is cleared; only then does `begin` move. Killed in between, its events are in
// both places, and the same.
//
// lib/trace/record/finish.ts reads this.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "event.h"

#define PART_MAGIC "RACEPART"
#define PART_HEAD_BYTES 4096
#define PART_WINDOW_EVENTS 8192
#define PART_WINDOW_BYTES (PART_WINDOW_EVENTS * sizeof(struct event))
#define PART_TEXT_OFFSET (PART_HEAD_BYTES + PART_WINDOW_BYTES)
#define PART_CLEARING 1u  // in `begin`, which is a multiple of 32

// A file of ours, which we know again: a program may close all descriptors and open others.
struct file {
  int fd;
  dev_t device;
  ino_t inode;
};

struct part {
  struct file file;
  struct {
    char magic[8];
    uint64_t begin;
  } * head;
  struct event* window;
  unsigned used;        // events in the window
  uint64_t text_bytes;  // whole lines only
};

// Creates a file; what had its name is unlinked first. Returns 0 or an errno, as all of these do.
int file_create(struct file* file, const char* path);
int file_write(const struct file* file, const void* bytes, size_t length, uint64_t offset);

int part_create(struct part* part, const char* path, uint64_t begin);

// Moves the events of the window to the recording.
int part_flush(struct part* part, const struct file* recording);

// Adds a line of symbol text: all of it, or nothing.
int part_add_line(struct part* part, const char* line, size_t length);

// Copies the symbol text to the recording.
int part_copy_text(const struct part* part, const struct file* recording, uint64_t offset);
