/**
 * How the stack of an earlier access is found again: for each slot a ring with an entry for each position, that
 * is for each access that left a cell.
 *
 *     word 0   pc, low 32 bits
 *     word 1   pc, high 16 bits | bytes of the granule << 16
 *     word 2   the stack below the pc
 *     word 3   position of the access whose cell this one was merged into, 0 if none
 *
 * The whole granules of a range are one access, with one entry.
 *
 * A cell may stand for several accesses of one epoch (the union of their bytes); its position is the last one's,
 * and word 3 leads from there to the others. Rings begin small and grow with what a slot records up to the
 * bound that `history_size` sets, so a stack is known if and only if the goroutine has recorded fewer accesses
 * since than that bound. Rings of finished goroutines are given up when
 * they are too many, the longest finished first.
 */
import { LazyShadowError } from '../native/errors.js';
import { POSITION_LIMIT } from './cell.js';
import { reserve } from './goroutine.js';
import { EMPTY_STACK } from './stack.js';

const ENTRY_SHIFT = 2;
/** Entries of a ring's first allocation. */
const FIRST_ENTRIES = 16;
/** A ring grows by this factor: few copies, and at most a quarter of it is in use after one. */
const GROWTH_SHIFT = 2;

/** Entries that the rings of finished goroutines hold together: 64 MiB. */
const RETIRED_ENTRIES = 4 * 1024 * 1024;

/** What is known of an earlier access. */
export interface PastAccess {
  /** The bytes of its granule that it touched. */
  readonly bytes: number;
  readonly pcLow: number;
  readonly pcHigh: number;
  /** The stack below the pc. */
  readonly stack: number;
}

export class History {
  /** The rings of all slots, one after another. */
  pool: Int32Array = new Int32Array(4096 << ENTRY_SHIFT);
  /** For each slot: where its ring begins in the pool, in words. */
  starts: Int32Array = new Int32Array(64);
  /** For each slot: entries of its ring less one; -1 without a ring. */
  masks: Int32Array = new Int32Array(64).fill(-1);
  #used = 0;
  /** Rings that were given back, by log2 of their entries. */
  readonly #free: number[][] = [];
  readonly #limit: number;
  /** Slots without a goroutine that have a ring, longest first, and the entries of their rings. */
  readonly #retired = new Set<number>();
  #retiredEntries = 0;

  /** @param entries The most that a ring holds: a power of two. */
  constructor(entries: number) {
    this.#limit = entries;
  }

  get bytes(): number {
    return this.pool.byteLength;
  }

  /** Makes sure that a slot that is about to be used has a ring. */
  ensure(slot: number): void {
    this.#reserve(slot + 1);
    if (this.#retired.delete(slot)) this.#retiredEntries -= (this.masks[slot] as number) + 1;
    if (this.masks[slot] === -1) this.#replace(slot, Math.min(FIRST_ENTRIES, this.#limit), 0, 0);
  }

  /** Notes that nobody runs on a slot any more: its ring stays until there are too many such. */
  retire(slot: number): void {
    this.#retired.add(slot);
    this.#retiredEntries += (this.masks[slot] as number) + 1;
    for (const oldest of this.#retired) {
      if (this.#retiredEntries <= RETIRED_ENTRIES) return;
      this.#retired.delete(oldest);
      this.#retiredEntries -= (this.masks[oldest] as number) + 1;
      this.#forget(oldest);
    }
  }

  /** Notes a position that is no access. */
  pass(slot: number, position: number): void {
    if ((position & (this.masks[slot] as number)) === 0) this.wrap(slot, position);
  }

  /**
   * Called when a slot's position comes round to the start of its ring: enlarges the ring unless it is as large as
   * it may be. `position` is the one about to be recorded.
   */
  wrap(slot: number, position: number): void {
    if (position > POSITION_LIMIT) {
      throw new LazyShadowError('ERR_OUT_OF_RANGE', 'one goroutine has recorded more than 2^31 accesses.');
    }
    const entries = (this.masks[slot] as number) + 1;
    if (entries >= this.#limit) return;
    this.#replace(slot, Math.min(entries << GROWTH_SHIFT, this.#limit), entries, position);
  }

  /**
   * The last access among those a cell stands for that touched one of `bytes`, or undefined when it is too long ago.
   * `now` is the slot's position.
   */
  find(slot: number, position: number, bytes: number, now: number): PastAccess | undefined {
    const mask = this.masks[slot] as number;
    for (let at = position; at > 0 && now - at <= mask;) {
      const entry = (this.starts[slot] as number) + ((at & mask) << ENTRY_SHIFT);
      const high = this.pool[entry + 1] as number;
      const touched = high >>> 16;
      if ((touched & bytes) !== 0) {
        const pcLow = this.pool[entry] as number;
        return { bytes: touched, pcLow, pcHigh: high & 0xffff, stack: this.pool[entry + 2] as number };
      }
      const merged = this.pool[entry + 3] as number;
      if (merged >= at) return undefined;
      at = merged;
    }
    return undefined;
  }

  /** Calls `mark` with every stack that an entry refers to. */
  markStacks(mark: (stack: number) => void): void {
    for (let slot = 0; slot < this.masks.length; slot++) {
      const start = this.starts[slot] as number;
      const end = start + (((this.masks[slot] as number) + 1) << ENTRY_SHIFT);
      for (let entry = start; entry < end; entry += 1 << ENTRY_SHIFT) {
        const stack = this.pool[entry + 2] as number;
        if (stack !== EMPTY_STACK) mark(stack);
      }
    }
  }

  /** Gives up a slot's ring: its stacks are no longer known. */
  #forget(slot: number): void {
    this.#give(this.starts[slot] as number, (this.masks[slot] as number) + 1);
    this.masks[slot] = -1;
  }

  /** Gives a slot a larger ring with the `kept` entries before `position`. */
  #replace(slot: number, entries: number, kept: number, position: number): void {
    const from = this.starts[slot] as number;
    const to = this.#alloc(entries);
    const words = this.pool;
    for (let past = Math.max(1, position - kept); past < position; past++) {
      const source = from + ((past & (kept - 1)) << ENTRY_SHIFT);
      const target = to + ((past & (entries - 1)) << ENTRY_SHIFT);
      for (let word = 0; word < 1 << ENTRY_SHIFT; word++)
        words[target + word] = words[source + word] as number;
    }
    if (kept > 0) this.#give(from, kept);
    this.starts[slot] = to;
    this.masks[slot] = entries - 1;
  }

  #reserve(slots: number): void {
    if (slots <= this.starts.length) return;
    this.starts = reserve(this.starts, slots);
    const before = this.masks.length;
    this.masks = reserve(this.masks, slots);
    this.masks.fill(-1, before);
  }

  #alloc(entries: number): number {
    const words = entries << ENTRY_SHIFT;
    const kept = this.#free[Math.log2(entries)]?.pop();
    if (kept !== undefined) {
      this.pool.fill(0, kept, kept + words);
      return kept;
    }
    const start = this.#used;
    this.#used += words;
    if (this.#used > this.pool.length) {
      const pool = new Int32Array(Math.max(this.pool.length * 2, this.#used));
      pool.set(this.pool);
      this.pool = pool;
    }
    return start;
  }

  #give(start: number, entries: number): void {
    const size = Math.log2(entries);
    this.#free[size] ??= [];
    this.#free[size].push(start);
  }
}
