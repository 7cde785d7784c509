/**
 * The program that uses a heap for long, in a process of its own so that its numbers are its own:
 *
 *     node --expose-gc churn-main.mjs SEED SECONDS LEAK
 *
 * In each round blocks of all sizes are allocated, written, accessed as a detector does and freed in random order, some
 * while others live, and idle memory is given back together with its shadow. At the end of a round nothing is allocated,
 * so that all that it needs must be as at the end of the round before. Goes on for SECONDS, and for SHORT_ROUNDS at
 * least; prints a Sample as a line of JSON after each, and keeps none. LEAK makes it wrong on purpose: `memory`, `mappings` or `objects`.
 */
import { strict as assert } from 'node:assert';
import { Heap } from '../../../lib/heap/heap.js';
import { shadowHooks } from '../../../lib/heap/shadow-hooks.js';
import { CellWriter } from '../../../lib/measure/cell-writer.js';
import { Reservation } from '../../../lib/native/reservation.js';
import { geometry, processMemory, systemMemory } from '../../../lib/native/system.js';
import { Shadow, windowsOf } from '../../../lib/shadow/shadow.js';
import { Random } from '../../support/random.js';

export interface Sample {
  /** Made so far. */
  readonly calls: number;
  readonly residentBytes: number;
  readonly commitBytes: number;
  readonly mappings: number;
  readonly v8HeapBytes: number;
}

const SHORT_ROUNDS = 40;
const STEPS = 4000;
const MOST_LIVE = 500;
const LARGEST_LOG2 = 18;

const [seed = 1, seconds = 0] = process.argv.slice(2, 4).map(Number);
const leak = process.argv[4] ?? 'nothing';

const random = new Random(seed);
const shadow = new Shadow({ policy: 'touch' });
const heap = new Heap({ race: shadowHooks(shadow), releaseShadow: true, scavenger: false });
const cells = new CellWriter(windowsOf(shadow));
const leaked: unknown[] = [];
let calls = 0;

function allocate(): number {
  const sizeBytes = 1 + random.below(2 ** (3 + random.below(LARGEST_LOG2 - 2)));
  const block = heap.malloc(sizeBytes);
  const view = heap.bytes(block, sizeBytes);
  for (const at of [0, sizeBytes - 1]) {
    view[at] = 1;
    cells.access(block + at, 1);
  }
  calls += 2;
  return block;
}

function round(): void {
  const live: number[] = [];
  const freeOne = () => {
    const at = random.below(live.length);
    const block = live[at];
    live[at] = live.at(-1) ?? 0;
    live.pop();
    if (block !== undefined) heap.free(block);
    calls++;
  };
  for (let step = 0; step < STEPS; step++) {
    if (live.length < random.below(MOST_LIVE)) live.push(allocate());
    else if (live.length > 0) freeOne();
    if (step % (STEPS / 4) === 0) heap.scavenge();
  }
  while (live.length > 0) freeOne();
  heap.scavenge();
  heap.verify();
}

/** Little enough for one round, and nothing that stays hidden in forty. */
function leakSome(): void {
  if (leak === 'memory') heap.bytes(heap.malloc(256 * 1024), 256 * 1024).fill(1);
  if (leak === 'objects') leaked.push(Array.from({ length: 4000 }, (_, i) => ({ i })));
  if (leak !== 'mappings') return;
  const { pageSizeBytes } = geometry();
  const reservation = Reservation.reserve(4 * pageSizeBytes);
  reservation.commit(reservation.address + pageSizeBytes, pageSizeBytes);
  leaked.push(reservation);
}

async function sample(): Promise<Sample> {
  assert(globalThis.gc, 'needs --expose-gc');
  globalThis.gc();
  // Node frees what goes with a view that was collected when it comes back to its event loop, and not before.
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc();
  const { residentBytes, commitBytes } = processMemory();
  return {
    calls,
    residentBytes,
    commitBytes: commitBytes ?? 0,
    mappings: systemMemory().mapCount ?? 0,
    v8HeapBytes: process.memoryUsage().heapUsed,
  };
}

const end = Date.now() + seconds * 1000;
for (let rounds = 0; rounds < SHORT_ROUNDS || Date.now() < end; rounds++) {
  round();
  leakSome();
  console.log(JSON.stringify(await sample()));
}
heap.release();
shadow.release();
