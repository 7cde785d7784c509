/**
 * The program that runs into a limit, in a process of its own that has one:
 *
 *     node limits-core.mjs
 *
 * Everything that takes memory (reservations, shadows under each policy, a heap, a replay) takes it piece by piece until
 * it is refused, or has 1 GiB. A refusal must be the right error and leave everything as it was, and what was given back
 * must be there to be had again. Prints an Outcome for each as JSON; ends with an error if anything was not so.
 */
import { strict as assert } from 'node:assert';
import { Heap } from '../../../lib/heap/heap.js';
import { LazyShadowError } from '../../../lib/native/errors.js';
import { Reservation } from '../../../lib/native/reservation.js';
import type { Layout } from '../../../lib/shadow/layouts.js';
import { systemMemory } from '../../../lib/native/system.js';
import { POLICIES, type Policy } from '../../../lib/shadow/policies.js';
import { Shadow, windowsOf } from '../../../lib/shadow/shadow.js';
import { TraceReader } from '../../../lib/trace/reader.js';
import { replayTrace } from '../../../lib/trace/replay.js';
import { readCell, writeCell } from '../../support/cells.js';
import { linux, status } from '../../support/proc.js';
import { program, programBytes } from '../../support/recordings.js';

const MiB = 2 ** 20;
const ENOMEM = 12;
const HEAP = 0xc0_0000_0000;

export interface Outcome {
  readonly name: string;
  /** Whether it had all the addresses that it wants, or had to be made smaller. */
  readonly whole: boolean;
  /** How many pieces it got, of how many. */
  readonly pieces: number;
  readonly of: number;
  /** Whether it was refused another. */
  readonly refused: boolean;
}

/** Something that takes memory by pieces of 16 or 18 MiB. */
interface Taker {
  readonly whole: boolean;
  /** The pieces that it has addresses for, but one. */
  readonly of: number;
  /** Takes so many pieces, at once. */
  take(piece: number, count: 1 | 2): void;
  giveBack(piece: number, count: 1 | 2): void;
  /** What it counts, and what the system does. */
  counts(): unknown;
  /** Whether a piece still has what was written there. */
  isKept(piece: number): boolean;
  release(): void;
}

/** Less than any two pieces, and what V8 needs more than any one: where it finds nothing for itself it ends the process. */
const ROOM_BYTES = 30 * MiB;

/** Whether there is room for another piece, and then for V8. Not tried, because V8's threads would find nothing meanwhile. */
function hasRoom(): boolean {
  if (!linux) return true;
  const { virtualLimitBytes, dataLimitBytes, overcommitMode, commitLimitBytes, commitTotalBytes } =
    systemMemory();
  const virtualBytes = status('VmSize');
  const rooms = [
    (virtualLimitBytes ?? Infinity) - virtualBytes,
    (dataLimitBytes ?? Infinity) - status('VmData'),
  ];
  if (overcommitMode === 2) {
    // Kept by the kernel from a program as large as this (vm.user_reserve_kbytes).
    const kept = Math.min(virtualBytes / 32, 128 * MiB);
    rooms.push((commitLimitBytes ?? Infinity) - (commitTotalBytes ?? 0) - kept);
  }
  return Math.min(...rooms) >= ROOM_BYTES;
}

function requireRefusal(error: unknown): void {
  if (!(error instanceof LazyShadowError) || error.code !== 'ERR_OUT_OF_MEMORY') throw error;
  const codes = [];
  for (let at: unknown = error; at instanceof LazyShadowError; at = at.cause) codes.push(at.osCode);
  assert(codes.includes(ENOMEM), `no ENOMEM in ${error.stack}`);
  assert.match(error.message, /\.$/);
}

/** What there is room for: the whole, or less and less of it. */
function largest<Made>(
  sizes: readonly number[],
  make: (sizeBytes: number) => Made,
): { made: Made; size: number } {
  for (const size of sizes) {
    try {
      return { made: make(size), size };
    } catch (error) {
      requireRefusal(error);
    }
  }
  throw new Error(`refused even ${sizes.at(-1)} bytes`);
}

/** Takes pieces until two at once are refused, or all are taken. */
function exhaust(name: string, make: () => Taker): Outcome {
  const taker = make();
  const { whole, of } = taker;
  let before: unknown;
  let pieces = 0;
  let refusal: unknown;
  try {
    while (pieces < of) {
      before = taker.counts();
      if (!hasRoom()) {
        taker.take(pieces, 2);
        taker.giveBack(pieces, 2); // it needed none, or others have given some back
      }
      taker.take(pieces, 1);
      pieces++;
    }
  } catch (error) {
    refusal = error;
  }

  let kept = pieces;
  if (refusal !== undefined) {
    requireRefusal(refusal);
    assert.deepEqual(taker.counts(), before, name);
    if (pieces >= 2) {
      kept -= 2;
      for (const piece of [kept, kept + 1]) taker.giveBack(piece, 1);
      // Where the limit is the whole machine's, another may have had it first.
      if (systemMemory().overcommitMode !== 2) taker.take(kept++, 1);
    }
  }
  for (let piece = 0; piece < kept; piece++) assert(taker.isKept(piece), `${name}: piece ${piece}`);
  taker.release();
  return { name, whole, pieces, of, refused: refusal !== undefined };
}

/** For a whole reservation, shadow or heap of 1 GiB, and what is made where that is too much. */
const SIZES = [1024 * MiB, 128 * MiB, 32 * MiB];

function reservation(): Taker {
  const PIECE = 16 * MiB;
  const { made, size } = largest(SIZES, (sizeBytes) => Reservation.reserve(sizeBytes));
  const at = (piece: number) => made.address + piece * PIECE;
  return {
    whole: size === SIZES[0],
    of: size / PIECE - 1,
    take: (piece, count) => {
      made.commit(at(piece), count * PIECE);
      made.bytes(at(piece), 1)[0] = piece + 1;
    },
    giveBack: (piece, count) => made.decommit(at(piece), count * PIECE),
    counts: () => {
      const { committedBytes, osCommittedBytes } = made.stats();
      assert.equal(osCommittedBytes, committedBytes);
      return committedBytes;
    },
    isKept: (piece) => made.bytes(at(piece), 1)[0] === piece + 1,
    release: () => made.release(),
  };
}

/** Of a heap alone: where there is little room for addresses, the shadow of Go's data takes 1 GiB too much. */
const LAYOUT: Layout = {
  name: 'heap alone',
  application: [{ name: 'heap', start: HEAP, end: HEAP + 2 ** 36 }],
  shadow: { base: 0x4000_0000_0000, multiplier: 4 },
  metainfo: { base: 0x5000_0000_0000 },
};

/** 1 GiB of shadow and metainfo is that of 228 MiB. */
function shadow(policy: Policy): Taker {
  const PIECE = 4 * MiB;
  const most = 256 * MiB;
  const { made, size } = largest(
    [2 ** 36, most, 16 * MiB],
    (heapBytes) => new Shadow({ policy, layout: LAYOUT, heapBytes }),
  );
  const memory = windowsOf(made);
  const at = (piece: number) => HEAP + piece * PIECE;
  return {
    whole: size === 2 ** 36,
    of: Math.min(size, most) / PIECE - 1,
    take: (piece, count) => {
      made.mapShadow(at(piece), count * PIECE);
      writeCell(memory, 'shadow', at(piece), piece + 1);
    },
    giveBack: (piece, count) => made.unmapShadow(at(piece), count * PIECE),
    counts: () => {
      const { mappedBytes, committedBytes, osCommittedBytes } = made.stats();
      if (policy === 'lazy' || policy === 'touch') assert.equal(osCommittedBytes, committedBytes);
      return { mappedBytes, committedBytes, osCommittedBytes };
    },
    isKept: (piece) => readCell(memory, 'shadow', at(piece)) === piece + 1,
    release: () => made.release(),
  };
}

function heap(): Taker {
  const PIECE = 16 * MiB;
  const made = new Heap({ scavenger: false });
  const blocks: number[] = [];
  const block = (piece: number) => blocks[piece] ?? 0;
  return {
    whole: true,
    of: 64,
    take: (piece, count) => {
      blocks[piece] = made.malloc(count * PIECE);
      made.bytes(block(piece), PIECE)[PIECE - 1] = piece + 1;
    },
    giveBack: (piece) => {
      made.free(block(piece));
      made.scavenge();
    },
    counts: () => {
      const { objects, committedBytes, osCommittedBytes } = made.verify();
      assert.equal(osCommittedBytes, committedBytes);
      return { objects, HeapAlloc: made.memStats().HeapAlloc };
    },
    isKept: (piece) => made.bytes(block(piece), PIECE)[PIECE - 1] === piece + 1,
    release: () => made.release(),
  };
}

/** A replay under a policy: all of its races, or a refusal. */
async function replay(policy: Policy): Promise<Outcome> {
  const recording = program('racycounter');
  const reader = await TraceReader.open(programBytes(recording));
  const found = { name: `replay under ${policy}`, whole: true, pieces: 1, of: 1, refused: false };
  let made: Shadow | undefined;
  try {
    made = new Shadow({ policy });
    const { racyAddresses } = await replayTrace(reader, made);
    assert.deepEqual(
      racyAddresses.map((address) => `0x${address.toString(16)}`),
      recording.racyAddresses,
    );
    return found;
  } catch (error) {
    requireRefusal(error);
    return { ...found, pieces: 0, refused: true };
  } finally {
    made?.release();
    await reader.close();
  }
}

const outcomes = [
  exhaust('reservation', reservation),
  ...POLICIES.map((policy) => exhaust(`shadow under ${policy}`, () => shadow(policy))),
  exhaust('heap', heap),
];
for (const policy of POLICIES) outcomes.push(await replay(policy));
console.log(JSON.stringify(outcomes));
