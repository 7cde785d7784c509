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
 * Entries lie in pages, those of a slot linked from the newest to the oldest: nothing is copied when a slot needs more,
 * and what it has grows with what it records. A slot's oldest page becomes its newest when the
 * others hold enough. Pages of finished goroutines are given up when they are too many, the longest finished first.
 */
import { LazyShadowError } from '../native/errors.js';
import type { TableSpace } from '../native/table.js';
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
/** Pages begin at multiples of this many words, so only there may one be full. */
const PIECE_MASK = FIRST_PAGE * ENTRY_WORDS - 1;

/** What of a detector's tables is history: 1.25 GiB. */
const WORD_PART = 5 / 16;

/** Pages and slots that there is room for at first. */
const FEW = 64;

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

/** No access yet: its pc says what `high` is. */
const UNKNOWN_HIGH = -1;

// Who makes the access at hand: its pc, in two words.
export const PC_LOW = 0;
export const PC_HIGH = 1;

/** Two words, outside V8's heap: only so does V8 build their place into code. */
export function createAtHand(): Int32Array {
  return new Int32Array(new ArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** What is known of an earlier access. */
export interface PastAccess {
  /** The bytes of its granule that it touched. */
  readonly bytes: number;
  readonly pcLow: number;
  readonly pcHigh: number;
  /** The stack below the pc. */
  readonly stack: number;
}

export interface History {
  bytes(): number;
  /** A goroutine takes over a slot, whose position is that of the start. */
  begin(slot: number): void;
  /** Notes that nobody runs on a slot any more: its pages stay until there are too many such. */
  retire(slot: number): void;
  /** The next position of a slot, for what is no access. */
  pass(slot: number): number;
  /** The next position of a slot, for an access with the bytes of `word` and the pc that is at hand (PC_LOW, PC_HIGH). */
  record(slot: number, word: number, stack: number): number;
  /**
   * As `record`, for an access that is merged into the cell of an older one.
   * @param into that one's position
   * @param granule whose cell it is: the low 32 bits of its address divided by 8
   */
  merge(slot: number, word: number, stack: number, into: number, granule: number): number;
  /**
   * The last access among those a cell stands for that touched one of `bytes`, or undefined when it is too long ago.
   * `now` is the slot's position.
   */
  find(slot: number, position: number, bytes: number, now: number): PastAccess | undefined;
  /** Calls `mark` with every stack that an entry refers to, once for those in a row that refer to the same. */
  markStacks(mark: (stack: number) => void): void;
  /** How many of a slot's last positions are known at least; before there are any. */
  keep(entries: number): void;
  /** Nothing is known any more. */
  reset(): void;
}

/** What to throw when a slot has come to POSITION_LIMIT. */
export function tooManyPositions(): LazyShadowError {
  return new LazyShadowError(
    'ERR_OUT_OF_RANGE',
    'one goroutine has recorded more than two thousand million accesses.',
  );
}

/**
 * What makes history longer may throw LazyShadowError ERR_OUT_OF_MEMORY, or ERR_OUT_OF_RANGE after POSITION_LIMIT.
 * @param state the slots' state (goroutine.ts)
 * @param atHand the pc of the access at hand
 */
export function createHistory(space: TableSpace, state: Int32Array, atHand: Int32Array): History {
  const memory = space.table('past accesses', WORD_PART);
  /** The entries. */
  const words = memory.words;
  /** The word after the last page. */
  let used = 0;
  /** The high word of nearly every pc. */
  let high = UNKNOWN_HIGH;
  let pages: Int32Array = new Int32Array(FEW << PAGE_SHIFT);
  let pageCount = 1;
  /** Pages that were given back, by their entries: linked through OLDER. */
  const free = new Map<number, number>();
  // For each slot: its newest page, its oldest, and the entries of all.
  let newest: Int32Array = new Int32Array(FEW);
  let oldest: Int32Array = new Int32Array(FEW);
  let entries: Int32Array = new Int32Array(FEW);
  let limit = 0;
  /** Slots without a goroutine that have pages, longest first, and the entries of these. */
  const retired = new Set<number>();
  let retiredEntries = 0;

  function keep(least: number): void {
    limit = least;
  }

  function reset(): void {
    memory.reset();
    used = 0;
    high = UNKNOWN_HIGH;
    pages = new Int32Array(FEW << PAGE_SHIFT);
    pageCount = 1;
    free.clear();
    newest = new Int32Array(FEW);
    oldest = new Int32Array(FEW);
    entries = new Int32Array(FEW);
    retired.clear();
    retiredEntries = 0;
  }

  function begin(slot: number): void {
    newest = reserve(newest, slot + 1);
    oldest = reserve(oldest, slot + 1);
    entries = reserve(entries, slot + 1);
    if (retired.delete(slot)) retiredEntries -= entries[slot] as number;
    if (newest[slot] === NONE) state[(slot << STATE_SHIFT) + ENTRY] = -ENTRY_WORDS;
    const entry = step(slot, state[(slot << STATE_SHIFT) + POSITION] as number);
    words[entry] = 0;
    words[entry + 1] = 0;
  }

  function retire(slot: number): void {
    retired.add(slot);
    retiredEntries += entries[slot] as number;
    for (const longest of retired) {
      if (retiredEntries <= RETIRED_ENTRIES) return;
      retired.delete(longest);
      retiredEntries -= entries[longest] as number;
      forget(longest);
    }
  }

  function pass(slot: number): number {
    return add(slot, 0, 0);
  }

  function record(slot: number, word: number, stack: number): number {
    if ((((atHand[PC_HIGH] as number) ^ high) | (stack >>> STACK_BITS)) !== 0) {
      return extended(slot, word, stack, 0);
    }
    return add(slot, atHand[PC_LOW] as number, (stack << STACK_SHIFT) | (word & BYTES));
  }

  function extended(slot: number, word: number, stack: number, into: number): number {
    const pcHigh = atHand[PC_HIGH] as number;
    if (high === UNKNOWN_HIGH) high = pcHigh;
    add(slot, into, (pcHigh << HIGH_SHIFT) | (stack >>> STACK_BITS));
    return add(slot, atHand[PC_LOW] as number, (stack << STACK_SHIFT) | (word & BYTES) | EXTENDED);
  }

  function find(slot: number, position: number, bytes: number, now: number): PastAccess | undefined {
    for (let at = position; at > 0 && now - at < limit;) {
      const entry = place(slot, at);
      if (entry === UNKNOWN) return undefined;
      const tail = words[entry + 1] as number;
      let pcHigh = high;
      let stack = tail >>> STACK_SHIFT;
      let merged = 0;
      if ((tail & EXTENDED) !== 0) {
        const before = place(slot, at - 1);
        if (before === UNKNOWN) return undefined;
        merged = words[before] as number;
        pcHigh = (words[before + 1] as number) >>> HIGH_SHIFT;
        stack |= ((words[before + 1] as number) & STACK_HIGH) << STACK_BITS;
      }
      const touched = tail & BYTES;
      if ((touched & bytes) !== 0) return { bytes: touched, pcLow: words[entry] as number, pcHigh, stack };
      if (merged >= at) return undefined;
      at = merged;
    }
    return undefined;
  }

  function markStacks(mark: (stack: number) => void): void {
    for (let slot = 0; slot < newest.length; slot++) {
      // Not every slot that there is room for has a state.
      if (newest[slot] === NONE) continue;
      let position = state[(slot << STATE_SHIFT) + POSITION] as number;
      // From the last on, since what an extended entry is extended by is before it, and looks like any other.
      let extended = false;
      let stack = EMPTY_STACK;
      let marked = EMPTY_STACK;
      for (let page = newest[slot] as number; page !== NONE;) {
        const at = page << PAGE_SHIFT;
        const first = pages[at + FIRST] as number;
        let entry = (pages[at + PLACE] as number) + (position - first) * ENTRY_WORDS;
        for (; position >= first; position--, entry -= ENTRY_WORDS) {
          const tail = words[entry + 1] as number;
          if (extended) stack |= (tail & STACK_HIGH) << STACK_BITS;
          else stack = tail >>> STACK_SHIFT;
          extended = !extended && (tail & EXTENDED) !== 0;
          if (extended || stack === EMPTY_STACK || stack === marked) continue;
          mark(stack);
          marked = stack;
        }
        page = pages[at + OLDER] as number;
      }
    }
  }

  /** The next entry of a slot; returns its position. */
  function add(slot: number, word0: number, word1: number): number {
    const at = (slot << STATE_SHIFT) + POSITION;
    const position = (state[at] as number) + 1;
    const entry = step(slot, position);
    words[entry] = word0;
    words[entry + 1] = word1;
    state[at] = position;
    return position;
  }

  /** Where the entry of the next position of a slot is. */
  function step(slot: number, position: number): number {
    const at = (slot << STATE_SHIFT) + ENTRY;
    let entry = (state[at] as number) + ENTRY_WORDS;
    if ((entry & PIECE_MASK) === 0) entry = turn(slot, position, entry) | 0;
    state[at] = entry;
    return entry;
  }

  /** Where the entry of a position is, UNKNOWN if there is none any more. */
  function place(slot: number, position: number): number {
    let page = newest[slot] as number;
    while (page !== NONE && (pages[(page << PAGE_SHIFT) + FIRST] as number) > position) {
      page = pages[(page << PAGE_SHIFT) + OLDER] as number;
    }
    if (page === NONE) return UNKNOWN;
    const at = page << PAGE_SHIFT;
    return (pages[at + PLACE] as number) + (position - (pages[at + FIRST] as number)) * ENTRY_WORDS;
  }

  /** The place of a position's entry, which is `next` unless the slot's newest page ends there. */
  function turn(slot: number, position: number, next: number): number {
    if (position > POSITION_LIMIT - FIRST_PAGE) {
      throw tooManyPositions();
    }
    const last = newest[slot] as number;
    const at = last << PAGE_SHIFT;
    const end = (pages[at + PLACE] as number) + (pages[at + ENTRIES] as number) * ENTRY_WORDS;
    if (last !== NONE && next < end) return next;
    const page = takeOldest(slot) ?? alloc(entries[slot] as number);
    const opened = page << PAGE_SHIFT;
    pages[opened + FIRST] = position;
    pages[opened + OLDER] = last;
    pages[opened + NEWER] = NONE;
    if (last === NONE) oldest[slot] = page;
    else pages[at + NEWER] = page;
    newest[slot] = page;
    entries[slot] = (entries[slot] as number) + (pages[opened + ENTRIES] as number);
    return pages[opened + PLACE] as number;
  }

  /** The oldest page of a slot, taken off, if the slot's other pages hold enough. */
  function takeOldest(slot: number): number | undefined {
    const page = oldest[slot] as number;
    const at = page << PAGE_SHIFT;
    const others = (entries[slot] as number) - (pages[at + ENTRIES] as number);
    if (page === NONE || others < limit) return undefined;
    const newer = pages[at + NEWER] as number;
    pages[(newer << PAGE_SHIFT) + OLDER] = NONE;
    oldest[slot] = newer;
    entries[slot] = others;
    return page;
  }

  /** Gives up a slot's pages: its stacks are no longer known. */
  function forget(slot: number): void {
    for (let page = newest[slot] as number; page !== NONE;) {
      const at = page << PAGE_SHIFT;
      const older = pages[at + OLDER] as number;
      const size = pages[at + ENTRIES] as number;
      pages[at + OLDER] = free.get(size) ?? NONE;
      free.set(size, page);
      page = older;
    }
    newest[slot] = NONE;
    oldest[slot] = NONE;
    entries[slot] = 0;
  }

  /** A page for a slot that has so many entries. */
  function alloc(has: number): number {
    let size = FIRST_PAGE;
    while (size <= has && size < LARGEST_PAGE) size *= 4;
    const given = free.get(size) ?? NONE;
    if (given !== NONE) {
      free.set(size, pages[(given << PAGE_SHIFT) + OLDER] as number);
      return given;
    }
    memory.reserve(used + size * ENTRY_WORDS);
    const page = pageCount++;
    pages = reserve(pages, pageCount << PAGE_SHIFT);
    pages[(page << PAGE_SHIFT) + PLACE] = used;
    pages[(page << PAGE_SHIFT) + ENTRIES] = size;
    used += size * ENTRY_WORDS;
    return page;
  }

  return {
    bytes: () => memory.bytes + pages.byteLength,
    begin,
    retire,
    pass,
    record,
    merge: extended,
    find,
    markStacks,
    keep,
    reset,
  };
}
