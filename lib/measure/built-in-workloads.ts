/**
 * Workloads that need no recording: how heaps grow, in four shapes. Each is sized by the heap it ends, or peaks, at.
 */

import { oneOf } from '../native/arguments.js';
import { LazyShadowError } from '../native/errors.js';
import type { Shadow } from '../shadow/shadow.js';
import type { Subject, Workload } from './workload.js';

/** Go's 64-bit heap grows by arenas of 64 MiB now, and grew by at least 1 MiB in 2012. */
const GROWTH_BYTES = 2 ** 20;
const ARENA_BYTES = 64 * 2 ** 20;
/** A program that touches little of what it has: one granule in each of these. */
const SPARSE_STRIDE_BYTES = 128 * 1024;
/** A program that touches what it has: one granule in each of these. */
const DENSE_STRIDE_BYTES = 64;

/** First address of the layout's heap: its last application range. */
function heapOf(shadow: Shadow, sizeBytes: number): number {
  const heap = shadow.layout.application.at(-1);
  if (heap === undefined || heap.end - heap.start < sizeBytes) {
    throw new LazyShadowError(
      'ERR_OUT_OF_RANGE',
      `The layout ${shadow.layout.name} has no room for a heap of ${sizeBytes} bytes. Choose a smaller one.`,
      { verb: 'measure', sizeBytes },
    );
  }
  return heap.start;
}

function accessEvery(strideBytes: number, { cells }: Subject, address: number, sizeBytes: number): void {
  for (let at = address; at < address + sizeBytes; at += strideBytes) cells.access(at, 8);
}

/** Grows by 1 MiB at a time; every byte is allocated, and one granule of each 64 bytes accessed. */
function* growth(subject: Subject, heapBytes: number): Generator<number> {
  const start = heapOf(subject.shadow, heapBytes);
  for (let grown = 0; grown < heapBytes; grown += GROWTH_BYTES) {
    const step = Math.min(GROWTH_BYTES, heapBytes - grown);
    subject.shadow.mapShadow(start + grown, step);
    subject.cells.malloc(start + grown, step);
    accessEvery(DENSE_STRIDE_BYTES, subject, start + grown, step);
    yield (grown + step) / heapBytes;
  }
}

/** Grows as above to the whole heap, then gives all but a quarter back, newest first, then grows again to a half. */
function* growthAndShrink(subject: Subject, heapBytes: number): Generator<number> {
  const start = heapOf(subject.shadow, heapBytes);
  const [whole, quarter, half] = [1, 4, 2].map(
    (part) => Math.ceil(heapBytes / part / GROWTH_BYTES) * GROWTH_BYTES,
  );
  if (whole === undefined || quarter === undefined || half === undefined) return;
  for (const done of growth(subject, heapBytes)) yield done / 2;
  for (let size = whole; size > quarter; size -= GROWTH_BYTES) {
    subject.shadow.unmapShadow(start + size - GROWTH_BYTES, GROWTH_BYTES);
    yield 0.5 + ((whole - size) / (whole - quarter)) * 0.3;
  }
  for (let size = quarter; size < half; size += GROWTH_BYTES) {
    subject.shadow.mapShadow(start + size, GROWTH_BYTES);
    accessEvery(DENSE_STRIDE_BYTES, subject, start + size, GROWTH_BYTES);
    yield 0.8 + ((size + GROWTH_BYTES - quarter) / Math.max(1, half - quarter)) * 0.2;
  }
}

/** Arenas of 64 MiB of which the first granule of each 128 KiB is accessed: blocks touched only at their ends. */
function* sparseTouches(subject: Subject, heapBytes: number): Generator<number> {
  const start = heapOf(subject.shadow, heapBytes);
  for (let grown = 0; grown < heapBytes; grown += ARENA_BYTES) {
    const step = Math.min(ARENA_BYTES, heapBytes - grown);
    subject.shadow.mapShadow(start + grown, step);
    accessEvery(SPARSE_STRIDE_BYTES, subject, start + grown, step);
    yield (grown + step) / heapBytes;
  }
}

/** Pieces of 1 MiB with holes of 3 MiB between them, as where other mappings lie between arenas. */
function* manyArenas(subject: Subject, heapBytes: number): Generator<number> {
  const start = heapOf(subject.shadow, 4 * heapBytes);
  for (let grown = 0; grown < heapBytes; grown += GROWTH_BYTES) {
    const step = Math.min(GROWTH_BYTES, heapBytes - grown);
    subject.shadow.mapShadow(start + 4 * grown, step);
    accessEvery(DENSE_STRIDE_BYTES, subject, start + 4 * grown, step);
    yield (grown + step) / heapBytes;
  }
}

const WORKLOADS = {
  growth,
  'growth-shrink': growthAndShrink,
  sparse: sparseTouches,
  arenas: manyArenas,
} as const;

/** Names of the built-in workloads. */
export const BUILT_IN_WORKLOAD_NAMES = Object.keys(WORKLOADS) as readonly (keyof typeof WORKLOADS)[];

/**
 * The built-in workload of a name.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, naming all there are
 */
export function builtInWorkload(name: string, heapBytes: number): Workload {
  const run = WORKLOADS[oneOf('measure', 'workload', name, BUILT_IN_WORKLOAD_NAMES)];
  return { run: (subject) => run(subject, heapBytes) };
}
