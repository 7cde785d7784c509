/**
 * What a detector has in place of call stacks, history and allocations when there is a recording that can be asked for
 * them: how many functions a goroutine is in, and of each access the number of its event.
 *
 * Positions are numbers of events here. Clocks need no more of them than that those of a slot ascend. An event that makes an
 * access and then releases has one number for both, which is right: whoever knows the release knows the access, and what the
 * slot does next has a higher number. None releases first.
 */
import type { TableSpace } from '../native/table.js';
import type { Allocations } from './allocations.js';
import { BYTES, POSITION_LIMIT } from './cell.js';
import { POSITION, STATE_SHIFT } from './goroutine.js';
import { type History, PC_LOW } from './history.js';
import type { Stacks } from './stack.js';

/** The number of the first event: 1 is the position that a slot begins with, and be it for that event. */
export const FIRST_NUMBER = 2;

/** Events that can be numbered: goroutines may take over slots up to half of what positions reach to. */
export const NUMBER_LIMIT = Math.floor(POSITION_LIMIT / 2);

/** What of a detector's tables is merged accesses: 16 MiB, for a million. The latest are kept. */
const MERGED_PART = 1 / 256;

// A merged access: the number of its event, that of the access whose cell it was merged into, its bytes, and its granule: one
// event can be merged into the cells of several, those at a range's ends.
const MERGED_SHIFT = 2;
const NUMBER = 0;
const INTO = 1;
const TOUCHED = 2;
const GRANULE = 3;

/** Stacks that are the number of their calls. */
export function createDepths(): Stacks {
  return {
    bytes: () => 0,
    push: (stack) => stack + 1,
    parent: (stack) => stack - 1,
    depth: (stack) => stack,
    pcs: () => [],
    reset: () => undefined,
  };
}

/** Allocations that nobody will ask for. */
export function createForgotten(): Allocations {
  return { add: () => undefined, find: () => undefined, markStacks: () => undefined, reset: () => undefined };
}

/** Positions that lead to events. */
export interface Numbers extends History {
  /**
   * The event of the last access among those that a cell of `granule` stands for that touched one of `bytes`. If that is
   * too long ago, one of those that did not.
   * @param position of the cell
   * @param granule as History.merge has it
   */
  eventOf(position: number, bytes: number, granule: number): number;
}

/**
 * @param state the slots' state (goroutine.ts)
 * @param atHand has, where else the pc of the access is, the number of the event at hand, be it an access or not
 */
export function createNumbers(space: TableSpace, state: Int32Array, atHand: Int32Array): Numbers {
  const memory = space.table('merged accesses', MERGED_PART);
  /** A ring, by ascending number. */
  const words = memory.words;
  const capacity = words.length >> MERGED_SHIFT;
  /** Accesses ever merged. */
  let merged = 0;

  function pass(slot: number): number {
    const number = atHand[PC_LOW] as number;
    state[(slot << STATE_SHIFT) + POSITION] = number;
    return number;
  }

  function merge(slot: number, word: number, _stack: number, into: number, granule: number): number {
    const number = pass(slot);
    const at = placeOf(merged);
    memory.reserve(at + (1 << MERGED_SHIFT));
    words[at + NUMBER] = number;
    words[at + INTO] = into | 0;
    words[at + TOUCHED] = word & BYTES;
    words[at + GRANULE] = granule | 0;
    merged++;
    return number;
  }

  function eventOf(position: number, bytes: number, granule: number): number {
    for (let number = position; ;) {
      const at = find(number, granule);
      // What was merged into nothing is all that is left.
      if (at < 0 || ((words[at + TOUCHED] as number) & bytes) !== 0) return number;
      number = words[at + INTO] as number;
    }
  }

  /** Where a merged access is, -1 if it is none or no longer there. */
  function find(number: number, granule: number): number {
    let low = Math.max(0, merged - capacity);
    let high = merged;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((words[placeOf(middle) + NUMBER] as number) < number) low = middle + 1;
      else high = middle;
    }
    for (; low < merged; low++) {
      const at = placeOf(low);
      if (words[at + NUMBER] !== number) return -1;
      if (words[at + GRANULE] === granule) return at;
    }
    return -1;
  }

  function placeOf(index: number): number {
    return (index & (capacity - 1)) << MERGED_SHIFT;
  }

  function reset(): void {
    memory.reset();
    merged = 0;
  }

  return {
    bytes: () => memory.bytes,
    begin: () => undefined,
    retire: () => undefined,
    pass,
    record: pass,
    merge,
    eventOf,
    find: () => undefined,
    markStacks: () => undefined,
    keep: () => undefined,
    reset,
  };
}
