/**
 * Goroutines and their slots.
 *
 * Callers name goroutines by number. A slot is what cells and clocks name: a component of the vector clocks.
 * A goroutine has one slot at a time; a slot serves one goroutine after another, but only if everything the earlier one
 * did happens before the start of the later one. Then the two are, to a happens-before analysis, one
 * sequence of accesses: whoever is unordered with an access of the earlier is so by its position, as before, and
 * no race is lost or invented. So clocks are as wide as goroutines were at once unordered, not as wide as ever started.
 *
 * A slot's position counts accesses that left a cell, and releases. It never goes back, so "access p of slot s
 * happens before what g does now" is `clock(g)[s] >= p`. And a goroutine whose clock has s at p knows all that s knew
 * at its last release up to p, if that release was in the same turn (order.ts).
 *
 * The state of a slot is eight words of one Int32Array, because every fourth event or so comes from another
 * goroutine and an object for each would miss the cache.
 */
import { LazyShadowError } from '../native/errors.js';
import type { Table, TableSpace } from '../native/table.js';
import { POSITION_LIMIT, SLOT_LIMIT } from './cell.js';
import { type Clocks, EMPTY_CLOCK } from './clock.js';
import { EMPTY_STACK } from './stack.js';

/** log2 of the words of a slot's state. */
export const STATE_SHIFT = 3;
/** Position of the last access or release. */
export const POSITION = 0;
/** Position of the last release or start: cells above it are of the current epoch. LEAKED if that is (leak.ts). */
export const FLOOR = 1;
/** Position of the first release since the clock changed; UNSETTLED before it. Who knows it has all of the clock. */
export const SETTLED = 2;
/** The clock of what happened before, without the slot's own component. */
export const CLOCK = 3;
/** The call stack (stack.ts). */
export const STACK = 4;
/** Depth of IgnoreSyncBegin. */
export const IGNORE = 5;
/** Position of the last access before FLOOR, or one after it. */
export const ACCESSED = 6;
/** Where the history has the entry of POSITION (history.ts). */
export const ENTRY = 7;

/** Above all positions. FLOOR from a FinalizerGoroutine to the slot's next release: no access of the epoch is above it. */
export const LEAKED = 0x7fff_ffff;
/** SETTLED, above all positions: nobody can know it. */
export const UNSETTLED = 0x7fff_ffff;

/** Goroutine numbers are below this: tables are indexed by them. */
export const GOROUTINE_LIMIT = 2 ** 24;

/** What of a detector's tables is for slots, SLOT_LIMIT of them, and for goroutine numbers, GOROUTINE_LIMIT. */
const STATE_PART = 1 / 32;
const SLOT_PART = 1 / 64;

/** What tables of goroutines have room for at first. */
const FEW = 64;

/** Finished goroutines looked at for a slot at each start: enough to find one while most are joined. */
const REUSE_ATTEMPTS = 4;

/** Where a goroutine comes from and whether it still runs, for reports. */
export interface GoroutineInfo {
  readonly goroutine: number;
  readonly running: boolean;
  /** The stack of the go statement, EMPTY_STACK if there was none. */
  readonly createdAt: number;
}

export class Goroutines {
  readonly #states: Table;
  readonly #slots: Table;
  /** 2^STATE_SHIFT words for each slot. */
  readonly state: Int32Array;
  /**
   * For each goroutine number below `known`: its slot plus 1, or 0 when it is not running. What lies beyond must not be
   * touched.
   */
  readonly slots: Int32Array;
  /** Goroutine numbers that have a word in `slots`. */
  known: number;
  readonly #clocks: Clocks;
  /** Slots ever used. */
  slotCount = 0;
  /** Goroutines ever started. */
  startedCount = 0;
  /** The goroutine of Initialize, 0 before it. */
  main = 0;
  /** For each goroutine that was started: the stack of its go statement plus 1; 0 for those that were not. */
  #creations: Int32Array = new Int32Array(FEW);
  /** Each turn of a goroutine on a slot, oldest first: its first position, the goroutine, the turn before. */
  #turns: Int32Array = new Int32Array(FEW * 3);
  #turnCount = 1;
  /** For each slot: its latest turn. */
  #lastTurn: Int32Array = new Int32Array(FEW);
  /** Slots of finished goroutines that no goroutine has taken over. */
  readonly #finished: number[] = [];
  /** The one of #finished that was looked at last. */
  #cursor = 0;

  /** @throws LazyShadowError ERR_OUT_OF_MEMORY */
  constructor(space: TableSpace, clocks: Clocks) {
    this.#states = space.table('goroutines at once', STATE_PART);
    this.#slots = space.table('goroutines', SLOT_PART);
    this.state = this.#states.words;
    this.slots = this.#slots.words;
    this.known = this.#slots.length;
    this.#clocks = clocks;
  }

  get bytes(): number {
    return (
      this.#states.bytes +
      this.#slots.bytes +
      this.#creations.byteLength +
      this.#turns.byteLength +
      this.#lastTurn.byteLength
    );
  }

  /** Slots of finished goroutines that wait for one that they happen before. */
  get finishedCount(): number {
    return this.#finished.length;
  }

  /** No goroutine was ever started. */
  reset(): void {
    this.#states.reset();
    this.#slots.reset();
    this.known = this.#slots.length;
    this.slotCount = 0;
    this.startedCount = 0;
    this.main = 0;
    this.#creations = new Int32Array(FEW);
    this.#turns = new Int32Array(FEW * 3);
    this.#turnCount = 1;
    this.#lastTurn = new Int32Array(FEW);
    this.#finished.length = 0;
    this.#cursor = 0;
  }

  /** The slot of a running goroutine. */
  slotOf(goroutine: number): number {
    const slot = this.find(goroutine);
    return slot >= 0 ? slot : this.#refuse(goroutine);
  }

  /** The slot of a goroutine, -1 if it does not run. */
  find(goroutine: number): number {
    return goroutine >= 0 && goroutine < this.known ? (this.slots[goroutine] as number) - 1 : -1;
  }

  /** Whether a running goroutine has the slot. */
  isTaken(slot: number): boolean {
    return this.find(this.#turns[(this.#lastTurn[slot] as number) * 3 + 1] as number) === slot;
  }

  isRunning(goroutine: number): boolean {
    return this.find(goroutine) >= 0;
  }

  /** Whether a goroutine runs or has run. */
  isKnown(goroutine: number): boolean {
    return (this.#creations[goroutine] ?? 0) !== 0;
  }

  /** The numbers of all that run or have run. */
  *everKnown(): IterableIterator<number> {
    for (let goroutine = 1; goroutine < this.#creations.length; goroutine++) {
      if (this.isKnown(goroutine)) yield goroutine;
    }
  }

  /** The numbers of all that run. */
  *running(): IterableIterator<number> {
    for (let goroutine = 1; goroutine < this.known; goroutine++) {
      if (this.isRunning(goroutine)) yield goroutine;
    }
  }

  /** @throws LazyShadowError ERR_INVALID_USE if no goroutine of that number can start now. */
  checkStart(goroutine: number): void {
    if (!Number.isInteger(goroutine) || goroutine < 1 || goroutine >= GOROUTINE_LIMIT) {
      throw new LazyShadowError(
        'ERR_INVALID_USE',
        `goroutine ${goroutine} cannot start: numbers are integers from 1 to ${GOROUTINE_LIMIT - 1}`,
      );
    }
    if ((this.#creations[goroutine] ?? 0) !== 0) {
      throw new LazyShadowError('ERR_INVALID_USE', `goroutine ${goroutine} was started before`);
    }
  }

  /**
   * Makes room for a goroutine that `checkStart` let pass, in a slot of its own if need be: to start it cannot fail then.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY
   */
  makeRoom(goroutine: number): void {
    this.#slots.reserve(goroutine + 1);
    this.known = this.#slots.length;
    this.#states.reserve((this.slotCount + 1) << STATE_SHIFT);
    this.#creations = reserve(this.#creations, goroutine + 1);
    this.#lastTurn = reserve(this.#lastTurn, this.slotCount + 1);
  }

  /**
   * Starts a goroutine that there is room for. `clock` is what happened before it, and is taken over.
   * Returns its slot.
   */
  start(goroutine: number, clock: number, createdAt: number): number {
    const slot = this.#takeSlot(clock);
    this.slots[goroutine] = slot + 1;
    this.#creations[goroutine] = createdAt + 1;
    this.startedCount++;
    this.#begin(slot, goroutine, clock, EMPTY_STACK);
    return slot;
  }

  /**
   * A slot for what began before all that the detector has seen (midway.ts): a goroutine that runs, or none if it is 0.
   * There must be room. The slot's first position stands for that past, so nobody takes the slot over who does not know it.
   */
  assume(goroutine: number): number {
    const slot = this.#newSlot();
    if (goroutine !== 0) {
      this.slots[goroutine] = slot + 1;
      this.#creations[goroutine] = EMPTY_STACK + 1;
    }
    this.#begin(slot, goroutine, EMPTY_CLOCK, EMPTY_STACK);
    const at = slot << STATE_SHIFT;
    this.state[at + ACCESSED] = this.state[at + POSITION] as number;
    return slot;
  }

  /** Ends a running goroutine. Its slot keeps its position, and waits to be reused. */
  end(goroutine: number): void {
    const slot = this.slotOf(goroutine);
    const at = slot << STATE_SHIFT;
    const position = this.state[at + POSITION] as number;
    const floor = this.state[at + FLOOR] as number;
    // In a leaked epoch FLOOR says nothing.
    if (position > floor || floor === LEAKED) this.state[at + ACCESSED] = position;
    this.#clocks.release(this.state[at + CLOCK] as number);
    this.state[at + CLOCK] = EMPTY_CLOCK;
    this.state[at + STACK] = EMPTY_STACK;
    this.slots[goroutine] = 0;
    this.#finished.push(slot);
  }

  /** The position at which the goroutine that has a slot took it over. */
  turnStart(slot: number): number {
    return this.#turns[(this.#lastTurn[slot] as number) * 3] as number;
  }

  /** The goroutine that made the access at `position` of `slot`. */
  at(slot: number, position: number): GoroutineInfo {
    let turn = this.#lastTurn[slot] as number;
    while ((this.#turns[turn * 3] as number) > position) turn = this.#turns[turn * 3 + 2] as number;
    return this.info(this.#turns[turn * 3 + 1] as number);
  }

  info(goroutine: number): GoroutineInfo {
    const createdAt = (this.#creations[goroutine] as number) - 1;
    return { goroutine, running: this.isRunning(goroutine), createdAt };
  }

  /** Calls `mark` with every stack that a goroutine refers to. */
  markStacks(mark: (stack: number) => void): void {
    for (let slot = 0; slot < this.slotCount; slot++)
      mark(this.state[(slot << STATE_SHIFT) + STACK] as number);
    for (const creation of this.#creations) if (creation > 0) mark(creation - 1);
  }

  #begin(slot: number, goroutine: number, clock: number, stack: number): void {
    const at = slot << STATE_SHIFT;
    // A position of its own, so that the first access is above the floor and a turn can be told by its positions.
    const position = (this.state[at + POSITION] as number) + 1;
    this.state[at + POSITION] = position;
    this.state[at + FLOOR] = position;
    this.state[at + SETTLED] = UNSETTLED;
    this.state[at + CLOCK] = clock;
    this.state[at + STACK] = stack;
    this.state[at + IGNORE] = 0;
    const turn = this.#turnCount++;
    this.#turns = reserve(this.#turns, this.#turnCount * 3);
    this.#turns[turn * 3] = position;
    this.#turns[turn * 3 + 1] = goroutine;
    this.#turns[turn * 3 + 2] = this.#lastTurn[slot] as number;
    this.#lastTurn[slot] = turn;
  }

  /**
   * A slot whose every access `clock` knows, or a new one. Looks at the goroutine that finished last, because
   * a parent often waits for each child, and at a few others in turn.
   */
  #takeSlot(clock: number): number {
    const finished = this.#finished;
    let at = finished.length - 1;
    for (let attempt = 0; attempt < REUSE_ATTEMPTS && at >= 0; attempt++) {
      const slot = finished[at] as number;
      const state = slot << STATE_SHIFT;
      const roomy = (this.state[state + POSITION] as number) < POSITION_LIMIT / 2;
      if (roomy && this.#clocks.get(clock, slot) >= (this.state[state + ACCESSED] as number)) {
        finished[at] = finished[finished.length - 1] as number;
        finished.pop();
        return slot;
      }
      this.#cursor = (this.#cursor + 1) % finished.length;
      at = this.#cursor;
    }
    return this.#newSlot();
  }

  #newSlot(): number {
    const slot = this.slotCount;
    if (slot === SLOT_LIMIT) {
      throw new LazyShadowError(
        'ERR_OUT_OF_RANGE',
        `more than ${SLOT_LIMIT} goroutines are unordered with each other`,
      );
    }
    this.slotCount++;
    return slot;
  }

  /** Says why a goroutine has no slot. */
  #refuse(goroutine: number): never {
    const known = Number.isInteger(goroutine) && (this.#creations[goroutine] ?? 0) !== 0;
    throw new LazyShadowError(
      'ERR_INVALID_USE',
      known ? `goroutine ${goroutine} has ended` : `goroutine ${goroutine} was never started`,
    );
  }
}

/** `words` with room for `length` of them, at least doubled when it has to grow. */
export function reserve(words: Int32Array, length: number): Int32Array {
  if (length <= words.length) return words;
  const grown = new Int32Array(Math.max(length, words.length * 2));
  grown.set(words);
  return grown;
}
