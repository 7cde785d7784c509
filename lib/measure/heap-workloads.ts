/**
 * Workloads that run on the Go heap instead of a recording: what programs do to a heap, and so to its shadow.
 *
 * Each is a generator over a heap: it allocates, writes, frees and scavenges, says what it accessed, and yields how
 * far it has come, from 0 to 1, never falling. The same size gives the same steps. Blocks that are left at the end
 * go with the heap.
 */
import { Heap } from '../heap/heap.js';
import { shadowHooks } from '../heap/shadow-hooks.js';
import { oneOf } from '../native/arguments.js';
import type { Workload } from './workload.js';

/** What a heap workload acts on. */
export interface HeapSubject {
  readonly heap: Heap;
  /** The program reads or writes this memory: a detector would look at its shadow. */
  access(address: number, sizeBytes: number): void;
}

export type HeapSteps = (subject: HeapSubject, heapBytes: number) => Generator<number>;

/** Between two yields, so that samples can be taken: a hundredth of the way. */
const STEPS = 100;

/** A page of every system we know is a multiple of this. */
const PAGE_BYTES = 4096;

/** A small generator of the same numbers every time (Park and Miller's). */
function sameNumbers(): (below: number) => number {
  let state = 42;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** Writes to each page of a block, as a program that fills it would. */
function fill(subject: HeapSubject, address: number, sizeBytes: number): void {
  const bytes = subject.heap.bytes(address, sizeBytes);
  for (let at = 0; at < sizeBytes; at += PAGE_BYTES) bytes[at] = 1;
  subject.access(address, sizeBytes);
}

/** A cache of entries of 64 bytes to 8 KiB: fills, is emptied, gives its pages back, and fills to half. */
function* cacheFillsAndEmpties(subject: HeapSubject, heapBytes: number): Generator<number> {
  const { heap } = subject;
  const next = sameNumbers();
  const entries: number[] = [];
  const sizes: number[] = [];
  let held = 0;

  function* grow(upTo: number, from: number, to: number): Generator<number> {
    const start = held;
    const step = (upTo - start) / STEPS;
    for (let mark = start + step; held < upTo;) {
      const sizeBytes = 64 + next(8 * 1024 - 64);
      const address = heap.malloc(sizeBytes);
      subject.access(address, sizeBytes);
      entries.push(address);
      sizes.push(sizeBytes);
      held += sizeBytes;
      if (held < mark) continue;
      mark += step;
      yield Math.min(to, from + ((held - start) / (upTo - start)) * (to - from));
    }
  }

  yield* grow(heapBytes, 0, 0.5);
  const count = entries.length;
  for (let i = 0; i < count; i++) {
    // Any entry, not the newest: as caches expire.
    const victim = next(entries.length);
    heap.free(entries[victim] as number);
    held -= sizes[victim] as number;
    entries[victim] = entries.at(-1) as number;
    sizes[victim] = sizes.at(-1) as number;
    entries.pop();
    sizes.pop();
    if (i % Math.ceil(count / STEPS) === 0) yield 0.5 + (i / count) * 0.25;
  }
  heap.scavenge();
  yield 0.75;
  yield* grow(heapBytes / 2, 0.75, 1);
  yield 1;
}

/** Bytes of a node: two children, a key and a value, rounded up to its size class. */
const NODE_BYTES = 32;

/** A search tree: grows node by node to the whole heap, then loses one subtree after the other, keeping a quarter. */
function* treeBuilder(subject: HeapSubject, heapBytes: number): Generator<number> {
  const { heap } = subject;
  const count = Math.max(8, Math.floor(heapBytes / NODE_BYTES));
  const nodes = new Float64Array(count);
  const step = Math.ceil(count / STEPS);
  for (let i = 0; i < count; i++) {
    const node = heap.malloc(NODE_BYTES);
    nodes[i] = node;
    subject.access(node, NODE_BYTES);
    // The way down to its parent is read: node i hangs below (i − 1) / 2.
    if (i > 0) subject.access(nodes[(i - 1) >> 1] as number, 8);
    if (i % step === 0) yield (i / count) * 0.6;
  }
  // Leaves come last: the last three quarters of the nodes are the lowest two levels.
  const keep = count >> 2;
  for (let i = count - 1; i >= keep; i--) {
    heap.free(nodes[i] as number);
    if (i % step === 0) yield 0.6 + ((count - i) / (count - keep)) * 0.4;
  }
  yield 1;
}

/** Growth by objects of 1 to 16 MiB, each written to: what a program that reads large files does. */
function* largeObjects(subject: HeapSubject, heapBytes: number): Generator<number> {
  const next = sameNumbers();
  for (let held = 0; held < heapBytes;) {
    const sizeBytes = Math.min(heapBytes - held, (1 + next(16)) * 2 ** 20);
    fill(subject, subject.heap.malloc(sizeBytes), sizeBytes);
    held += sizeBytes;
    yield held / heapBytes;
  }
}

const HEAP_WORKLOADS = {
  'heap-cache': cacheFillsAndEmpties,
  'heap-tree': treeBuilder,
  'heap-large': largeObjects,
} as const satisfies Record<string, HeapSteps>;

/** Names of the workloads that run on a heap. */
export const HEAP_WORKLOAD_NAMES = Object.keys(HEAP_WORKLOADS) as readonly (keyof typeof HEAP_WORKLOADS)[];

/**
 * The steps of the heap workload of a name.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, naming all there are
 */
export function heapSteps(name: string): HeapSteps {
  return HEAP_WORKLOADS[oneOf('measure', 'workload', name, HEAP_WORKLOAD_NAMES)];
}

/**
 * Room for the heap's arena: the blocks, what rounding and fragments add, and as much again. Less than Go's, because
 * on Windows so much may not be free where layouts have shadow (lib/heap/arena.ts).
 */
function arenaBytes(heapBytes: number): number {
  return Math.min(128 * 2 ** 30, Math.ceil((4 * heapBytes) / 2 ** 20) * 2 ** 20);
}

/**
 * The heap workload of a name, on a Go heap of its own whose every new byte the measured shadow hears of. What the heap
 * scavenges, the shadow gives back as well.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT
 */
export function heapWorkload(name: string, heapBytes: number): Workload {
  const steps = heapSteps(name);
  let heap: Heap | undefined;
  return {
    *run({ shadow, cells }) {
      heap = new Heap({
        race: shadowHooks(shadow),
        releaseShadow: true,
        scavenger: false,
        maxMemBytes: arenaBytes(heapBytes),
      });
      yield* steps({ heap, access: (address, sizeBytes) => cells.access(address, sizeBytes) }, heapBytes);
    },
    goHeap() {
      if (heap === undefined) return undefined;
      const { HeapSys, HeapInuse, HeapReleased } = heap.memStats();
      return { heapSysBytes: HeapSys, heapInuseBytes: HeapInuse, heapReleasedBytes: HeapReleased };
    },
    close() {
      heap?.release();
      heap = undefined;
    },
  };
}
