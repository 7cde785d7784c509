// Small malloc + free pairs: the heap against the C library's malloc and calloc in a C loop (cc), and Go's own
// allocator where `go` is installed. All in one run, best of several rounds, with the ratios. --json for a program.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlagNoZero, Heap } from '../dist/esm/heap/heap.js';

const SIZES = [8, 16, 64, 128, 256, 1024, 4096];
const PAIRS = 2_000_000;
const ROUNDS = 7;
/** Blocks that are all allocated before the first is freed, in the second pattern. */
const BATCH = 100;

const C_SOURCE = `
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
static void *volatile sink;
static void *get(int zeroed, size_t size) { return zeroed ? calloc(1, size) : malloc(size); }
int main(void) {
  static const size_t sizes[] = {${SIZES.join(', ')}};
  static void *batch[${BATCH}];
  for (int zeroed = 0; zeroed < 2; zeroed++) {
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
      double pair = 1e30, batched = 1e30;
      for (int round = 0; round < ${ROUNDS}; round++) {
        double t = now();
        for (long i = 0; i < ${PAIRS}; i++) { sink = get(zeroed, sizes[k]); free(sink); }
        t = (now() - t) / ${PAIRS};
        if (t < pair) pair = t;
        t = now();
        for (long i = 0; i < ${PAIRS / BATCH}; i++) {
          for (int j = 0; j < ${BATCH}; j++) sink = batch[j] = get(zeroed, sizes[k]);
          for (int j = 0; j < ${BATCH}; j++) free(batch[j]);
        }
        t = (now() - t) / ${PAIRS};
        if (t < batched) batched = t;
      }
      printf("%d %zu %.2f %.2f\\n", zeroed, sizes[k], pair, batched);
    }
  }
}
`;

// Go frees by collecting: its figure is allocation and its share of collection, the pair's nearest equal.
const GO_SOURCE = `
package main
import ("fmt"; "time")
var sink []byte
func main() {
  for _, size := range []int{${SIZES.join(', ')}} {
    best := 1e30
    for round := 0; round < ${ROUNDS}; round++ {
      start := time.Now()
      for i := 0; i < ${PAIRS}; i++ { sink = make([]byte, size) }
      if t := float64(time.Since(start).Nanoseconds()) / ${PAIRS}; t < best { best = t }
    }
    fmt.Printf("%d %.2f\\n", size, best)
  }
}
`;

function has(command) {
  try {
    execFileSync(command, command === 'go' ? ['version'] : ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const directory = mkdtempSync(join(tmpdir(), 'bench-heap-'));
const c = { malloc: new Map(), calloc: new Map() };
const go = new Map();
try {
  if (has('cc')) {
    writeFileSync(join(directory, 'pairs.c'), C_SOURCE);
    execFileSync('cc', ['-O2', '-o', join(directory, 'pairs'), join(directory, 'pairs.c')]);
    for (const line of execFileSync(join(directory, 'pairs'), { encoding: 'utf8' }).trim().split('\n')) {
      const [zeroed, size, pair, batched] = line.split(' ').map(Number);
      (zeroed ? c.calloc : c.malloc).set(size, { pair, batched });
    }
  }
  if (has('go')) {
    writeFileSync(join(directory, 'pairs.go'), GO_SOURCE);
    const output = execFileSync('go', ['run', join(directory, 'pairs.go')], { encoding: 'utf8' });
    for (const line of output.trim().split('\n')) {
      const [size, ns] = line.split(' ').map(Number);
      go.set(size, ns);
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

const heap = new Heap({ scavenger: false });
const batch = new Float64Array(BATCH);
function pairs(size) {
  for (let i = 0; i < PAIRS; i++) heap.free(heap.malloc(size));
}
function batches(size) {
  for (let i = 0; i < PAIRS / BATCH; i++) {
    for (let j = 0; j < BATCH; j++) batch[j] = heap.malloc(size);
    for (let j = 0; j < BATCH; j++) heap.free(batch[j]);
  }
}
/** Without zeroing: what the C library's malloc does. */
function rawPairs(size) {
  for (let i = 0; i < PAIRS; i++) heap.free(heap.mallocgc(size, FlagNoZero));
}
function rawBatches(size) {
  for (let i = 0; i < PAIRS / BATCH; i++) {
    for (let j = 0; j < BATCH; j++) batch[j] = heap.mallocgc(size, FlagNoZero);
    for (let j = 0; j < BATCH; j++) heap.free(batch[j]);
  }
}
function best(run, size) {
  let ns = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    run(size);
    ns = Math.min(ns, ((performance.now() - start) * 1e6) / PAIRS);
  }
  return ns;
}

/** One line of a table: what a pair costs here, in C and in Go, in nanoseconds. */
function row(pattern, size) {
  const [run, runRaw] = pattern === 'pair' ? [pairs, rawPairs] : [batches, rawBatches];
  return {
    pattern,
    size,
    own: best(run, size),
    raw: best(runRaw, size),
    malloc: c.malloc.get(size)?.[pattern],
    calloc: c.calloc.get(size)?.[pattern],
    go: go.get(size),
  };
}

const number = (value) => (value === undefined ? '–' : value.toFixed(1)).padStart(9);
const ratio = (own, other) => (other === undefined ? '–' : `${(own / other).toFixed(2)}×`).padStart(9);
function print(rows, perPair) {
  for (const pattern of ['pair', 'batched']) {
    console.log(
      `\n${pattern === 'pair' ? 'free(malloc(size))' : `${BATCH} mallocs, then ${BATCH} frees`}, ns a pair`,
    );
    console.log(
      ['size', 'heap', 'NoZero', 'malloc', 'calloc', 'Go', '/calloc', '/Go', 'NoZero/malloc']
        .map((word) => word.padStart(Math.max(9, word.length + 2)))
        .join(''),
    );
    for (const { size, own, raw, malloc, calloc, go } of rows.filter((each) => each.pattern === pattern)) {
      console.log(
        String(size).padStart(9) +
          [own, raw, malloc, calloc, go].map(number).join('') +
          [ratio(own, calloc), ratio(own, go), ratio(raw, malloc).padStart(15)].join(''),
      );
    }
  }
  console.log(`\nOn V8's heap: ${perPair.toFixed(2)} bytes a pair.`);
  console.log(
    'The heap zeroes what it gives, as Go and calloc do; with FlagNoZero it does not, nor does malloc.',
  );
}

const rows = ['pair', 'batched'].flatMap((pattern) => SIZES.map((size) => row(pattern, size)));
const usedBefore = process.memoryUsage().heapUsed;
batches(64);
const perPair = Math.max(0, process.memoryUsage().heapUsed - usedBefore) / PAIRS;
heap.release();
if (process.argv.includes('--json')) console.log(JSON.stringify({ rows, perPair }, undefined, 1));
else print(rows, perPair);
