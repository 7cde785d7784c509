/**
 * How the stack of an earlier access is found again: for each position of a slot an entry, as many of the last ones
 * as `history_size` says.
 *
 *     word 0   pc, low 32 bits
 *     word 1   31                           9      8      7                    0
 *             +-----------------------------+----------+----------------------+
 *             | stack below the pc, 23 bits | extended | bytes of the granule |
 *             +-----------------------------+----------+----------------------+
 *
 * What does not fit is in the entry before, which has a position of its own: that of the older access whose cell this one
 * was merged into (0 if none), and the high words of the pc and of the stack. Few accesses are merged, and the code of
 * a program lies in one place, so few entries are extended. The entry of a release is zeros.
 * The whole granules of a range are one access, with one entry.
 *
 * A cell may stand for several accesses of one epoch (the union of their bytes); its position is the last one's,
 * and the extended entries lead from there to the others.
 *
 * Entries lie in pages, those of a slot linked from the newest to the oldest, and pages in chunks: nothing is copied
 * when a slot needs more, and what it has grows with what it records. A slot's oldest page becomes its newest when the
 * others hold enough. Pages of finished goroutines are given up when they are too many, the longest finished first.
 */
import { LazyShadowError } from '../native/errors.js';
import { BYTES, POSITION_LIMIT } from './cell.js';
import { ENTRY, POSITION, reserve, STATE_SHIFT } from './goroutine.js';
import { EMPTY_STACK } from './stack.js';

/** 32-bit words of an entry. */
const ENTRY_WORDS = 2;

// Word 1.
const EXTENDED = 0x100;
const STACK_SHIFT = 9;
const STACK_BITS = 32 - STACK_SHIFT;
// Word 1 of the entry before an extended one: the pc's high word and the stack's.
const HIGH_SHIFT = 16;
const STACK_HIGH = 0xffff;

/** Entries of a slot's first page. The next have four times as many each, so that at most three quarters wait to be used. */
const FIRST_PAGE = 64;
/** And no more than these: 32 KiB, of which the longest history that can be asked for has about a thousand to go through. */
const LARGEST_PAGE = 4096;
/** Pages begin at multiples of this many words, and only there may one be full. */
const PIECE_MASK = FIRST_PAGE * ENTRY_WORDS - 1;

/** log2 of the words of a chunk: 128 KiB. */
const CHUNK_SHIFT = 15;
const CHUNK_WORDS = 1 << CHUNK_SHIFT;
const CHUNK_MASK = CHUNK_WORDS - 1;

/** Words that entries can have in all: their places are 32-bit integers. */
const PLACE_LIMIT = 2 ** 31;

/** Entries that the pages of finished goroutines hold together: 32 MiB. */
const RETIRED_ENTRIES = 4 * 1024 * 1024;

// A page: the place of its first entry, that one's position, its entries, and the slot's page before and after it.
const PAGE_SHIFT = 3;
const PLACE = 0;
const FIRST = 1;
const ENTRIES = 2;
const OLDER = 3;
const NEWER = 4;

/** No page: page 0 is none. */
const NONE = 0;

/** No place: the entry is no more. */
const UNKNOWN = -1;

/** No access yet: its pc says what `#high` is. */
const UNKNOWN_HIGH = -1;

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
  readonly #chunks: Int32Array[] = [];
  /** The place after the last page: up to the end of its chunk nothing is used. */
  #used = 0;
  /** The high word of nearly every pc. */
  #high = UNKNOWN_HIGH;
  #pages: Int32Array = new Int32Array(64 << PAGE_SHIFT);
  #pageCount = 1;
  /** Pages that were given back, by their entries: linked through OLDER. */
  readonly #free = new Map<number, number>();
  // For each slot: its newest page, its oldest, and the entries of all.
  #newest: Int32Array = new Int32Array(64);
  #oldest: Int32Array = new Int32Array(64);
  #entries: Int32Array = new Int32Array(64);
  readonly #limit: number;
  /** Slots without a goroutine that have pages, longest first, and the entries of these. */
  readonly #retired = new Set<number>();
  #retiredEntries = 0;

  /** @param entries How many of a slot's last positions are known at least. */
  constructor(entries: number) {
    this.#limit = entries;
  }

  get bytes(): number {
    return this.#chunks.length * CHUNK_WORDS * 4 + this.#pages.byteLength;
  }

  /** A goroutine takes over a slot, whose position is that of the start. `state` is that of goroutine.ts, as always here. */
  begin(state: Int32Array, slot: number): void {
    this.#newest = reserve(this.#newest, slot + 1);
    this.#oldest = reserve(this.#oldest, slot + 1);
    this.#entries = reserve(this.#entries, slot + 1);
    if (this.#retired.delete(slot)) this.#retiredEntries -= this.#entries[slot] as number;
    if (this.#newest[slot] === NONE) state[(slot << STATE_SHIFT) + ENTRY] = -ENTRY_WORDS;
    this.#write(this.#step(state, slot, state[(slot << STATE_SHIFT) + POSITION] as number), 0, 0);
  }

  /** Notes that nobody runs on a slot any more: its pages stay until there are too many such. */
  retire(slot: number): void {
    this.#retired.add(slot);
    this.#retiredEntries += this.#entries[slot] as number;
    for (const oldest of this.#retired) {
      if (this.#retiredEntries <= RETIRED_ENTRIES) return;
      this.#retired.delete(oldest);
      this.#retiredEntries -= this.#entries[oldest] as number;
      this.#forget(oldest);
    }
  }

  /** The next position of a slot, for what is no access. */
  pass(state: Int32Array, slot: number): number {
    return this.#add(state, slot, 0, 0);
  }

  /**
   * The next position of a slot, for an access with the bytes of `word`.
   * @param merged position of the access whose cell this one was merged into, 0 if none
   */
  record(
    state: Int32Array,
    slot: number,
    word: number,
    pcLow: number,
    pcHigh: number,
    stack: number,
    merged: number,
  ): number {
    let tail = (stack << STACK_SHIFT) | (word & BYTES);
    if (((pcHigh ^ this.#high) | merged | (stack >>> STACK_BITS)) !== 0) {
      if (this.#high === UNKNOWN_HIGH) this.#high = pcHigh;
      this.#add(state, slot, merged, (pcHigh << HIGH_SHIFT) | (stack >>> STACK_BITS));
      tail |= EXTENDED;
    }
    return this.#add(state, slot, pcLow | 0, tail);
  }

  /**
   * The last access among those a cell stands for that touched one of `bytes`, or undefined when it is too long ago.
   * `now` is the slot's position.
   */
  find(slot: number, position: number, bytes: number, now: number): PastAccess | undefined {
    for (let at = position; at > 0 && now - at < this.#limit;) {
      const entry = this.#place(slot, at);
      if (entry === UNKNOWN) return undefined;
      const tail = this.#word(entry + 1);
      let pcHigh = this.#high;
      let stack = tail >>> STACK_SHIFT;
      let merged = 0;
      if ((tail & EXTENDED) !== 0) {
        const before = this.#place(slot, at - 1);
        if (before === UNKNOWN) return undefined;
        merged = this.#word(before);
        pcHigh = this.#word(before + 1) >>> HIGH_SHIFT;
        stack |= (this.#word(before + 1) & STACK_HIGH) << STACK_BITS;
      }
      const touched = tail & BYTES;
      if ((touched & bytes) !== 0) return { bytes: touched, pcLow: this.#word(entry), pcHigh, stack };
      if (merged >= at) return undefined;
      at = merged;
    }
    return undefined;
  }

  /** Calls `mark` with every stack that an entry refers to, once for those in a row that refer to the same. */
  markStacks(state: Int32Array, mark: (stack: number) => void): void {
    for (let slot = 0; slot < this.#newest.length; slot++) {
      let position = state[(slot << STATE_SHIFT) + POSITION] as number;
      // From the last on, since what an extended entry is extended by is before it, and looks like any other.
      let extended = false;
      let stack = EMPTY_STACK;
      let marked = EMPTY_STACK;
      for (let page = this.#newest[slot] as number; page !== NONE;) {
        const at = page << PAGE_SHIFT;
        const first = this.#pages[at + FIRST] as number;
        let entry = (this.#pages[at + PLACE] as number) + (position - first) * ENTRY_WORDS;
        for (; position >= first; position--, entry -= ENTRY_WORDS) {
          const tail = this.#word(entry + 1);
          if (extended) stack |= (tail & STACK_HIGH) << STACK_BITS;
          else stack = tail >>> STACK_SHIFT;
          extended = !extended && (tail & EXTENDED) !== 0;
          if (extended || stack === EMPTY_STACK || stack === marked) continue;
          mark(stack);
          marked = stack;
        }
        page = this.#pages[at + OLDER] as number;
      }
    }
  }

  /** The next entry of a slot; returns its position. */
  #add(state: Int32Array, slot: number, word0: number, word1: number): number {
    const at = (slot << STATE_SHIFT) + POSITION;
    const position = (state[at] as number) + 1;
    this.#write(this.#step(state, slot, position), word0, word1);
    state[at] = position;
    return position;
  }

  /** Where the entry of the next position of a slot is. */
  #step(state: Int32Array, slot: number, position: number): number {
    const at = (slot << STATE_SHIFT) + ENTRY;
    let entry = (state[at] as number) + ENTRY_WORDS;
    if ((entry & PIECE_MASK) === 0) entry = this.#turn(slot, position, entry);
    state[at] = entry;
    return entry;
  }

  #write(entry: number, word0: number, word1: number): void {
    const chunk = this.#chunks[entry >>> CHUNK_SHIFT] as Int32Array;
    chunk[entry & CHUNK_MASK] = word0;
    chunk[(entry & CHUNK_MASK) + 1] = word1;
  }

  #word(place: number): number {
    return (this.#chunks[place >>> CHUNK_SHIFT] as Int32Array)[place & CHUNK_MASK] as number;
  }

  /** Where the entry of a position is, UNKNOWN if there is none any more. */
  #place(slot: number, position: number): number {
    const pages = this.#pages;
    let page = this.#newest[slot] as number;
    while (page !== NONE && (pages[(page << PAGE_SHIFT) + FIRST] as number) > position) {
      page = pages[(page << PAGE_SHIFT) + OLDER] as number;
    }
    if (page === NONE) return UNKNOWN;
    const at = page << PAGE_SHIFT;
    return (pages[at + PLACE] as number) + (position - (pages[at + FIRST] as number)) * ENTRY_WORDS;
  }

  /** The place of a position's entry, which is `next` unless the slot's newest page ends there. */
  #turn(slot: number, position: number, next: number): number {
    if (position > POSITION_LIMIT - FIRST_PAGE) {
      throw new LazyShadowError(
        'ERR_OUT_OF_RANGE',
        'one goroutine has recorded more than two thousand million accesses.',
      );
    }
    const newest = this.#newest[slot] as number;
    const at = newest << PAGE_SHIFT;
    const end = (this.#pages[at + PLACE] as number) + (this.#pages[at + ENTRIES] as number) * ENTRY_WORDS;
    if (newest !== NONE && next < end) return next;
    const page = this.#takeOldest(slot) ?? this.#alloc(this.#entries[slot] as number);
    const pages = this.#pages;
    const opened = page << PAGE_SHIFT;
    pages[opened + FIRST] = position;
    pages[opened + OLDER] = newest;
    pages[opened + NEWER] = NONE;
    if (newest === NONE) this.#oldest[slot] = page;
    else pages[at + NEWER] = page;
    this.#newest[slot] = page;
    this.#entries[slot] = (this.#entries[slot] as number) + (pages[opened + ENTRIES] as number);
    return pages[opened + PLACE] as number;
  }

  /** The oldest page of a slot, taken off, if the slot's other pages hold enough. */
  #takeOldest(slot: number): number | undefined {
    const oldest = this.#oldest[slot] as number;
    const at = oldest << PAGE_SHIFT;
    const others = (this.#entries[slot] as number) - (this.#pages[at + ENTRIES] as number);
    if (oldest === NONE || others < this.#limit) return undefined;
    const newer = this.#pages[at + NEWER] as number;
    this.#pages[(newer << PAGE_SHIFT) + OLDER] = NONE;
    this.#oldest[slot] = newer;
    this.#entries[slot] = others;
    return oldest;
  }

  /** Gives up a slot's pages: its stacks are no longer known. */
  #forget(slot: number): void {
    for (let page = this.#newest[slot] as number; page !== NONE;) {
      const at = page << PAGE_SHIFT;
      const older = this.#pages[at + OLDER] as number;
      const entries = this.#pages[at + ENTRIES] as number;
      this.#pages[at + OLDER] = this.#free.get(entries) ?? NONE;
      this.#free.set(entries, page);
      page = older;
    }
    this.#newest[slot] = NONE;
    this.#oldest[slot] = NONE;
    this.#entries[slot] = 0;
  }

  /** A page for a slot that has so many entries. */
  #alloc(entries: number): number {
    let size = FIRST_PAGE;
    while (size <= entries && size < LARGEST_PAGE) size *= 4;
    const free = this.#free.get(size) ?? NONE;
    if (free !== NONE) {
      this.#free.set(size, this.#pages[(free << PAGE_SHIFT) + OLDER] as number);
      return free;
    }
    if ((this.#used & CHUNK_MASK) === 0) this.#addChunk();
    // What is left of the chunk, if it is less.
    while ((this.#used & CHUNK_MASK) + size * ENTRY_WORDS > CHUNK_WORDS) size /= 4;
    const page = this.#pageCount++;
    this.#pages = reserve(this.#pages, this.#pageCount << PAGE_SHIFT);
    this.#pages[(page << PAGE_SHIFT) + PLACE] = this.#used;
    this.#pages[(page << PAGE_SHIFT) + ENTRIES] = size;
    this.#used += size * ENTRY_WORDS;
    return page;
  }

  #addChunk(): void {
    if (this.#used + CHUNK_WORDS > PLACE_LIMIT) {
      throw new LazyShadowError('ERR_OUT_OF_MEMORY', 'what is kept of past accesses takes more than 8 GiB.');
    }
    this.#chunks.push(new Int32Array(CHUNK_WORDS));
  }
}
