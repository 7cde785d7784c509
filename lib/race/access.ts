/**
 * Accesses: which granules a read or a write touches, and whether they know it already.
 *
 * Callers pass addresses and pcs as two 32-bit words, as a recording has them, so that the path of an
 * access uses 32-bit integers alone: no bigint, no double, no allocation, no native call.
 *
 * An access is looked up in the cells of its granule, first where its slot puts them. Most are there, from the same
 * goroutine and epoch: that is two comparisons. The others are for record.ts.
 */
import {
  PAGE_MAPPED,
  PAGE_TOUCHED,
  SEGMENT_BYTES,
  SEGMENT_LOW_BITS,
  SEGMENT_MASK,
  SEGMENT_SHIFT,
  type ShadowGeometry,
} from '../shadow/segment.js';
import { BYTES, homeCell, PLAIN, SLOT, SLOT_SHIFT, WRITE } from './cell.js';
import { FLOOR, STACK, STATE_SHIFT } from './goroutine.js';
import { PC_HIGH, PC_LOW } from './history.js';
import { NONE, type Recording } from './record.js';
import type { Stacks } from './stack.js';
import { NO_WINDOW, type Window, type Windows } from './window.js';

/** A plain read. */
export const READ = PLAIN;
/** A plain write. */
export const PLAIN_WRITE = PLAIN | WRITE;
/** An atomic load. */
export const ATOMIC_READ = 0;
/** Any other atomic. */
export const ATOMIC_WRITE = WRITE;

/** Touched pages that are looked for before a page, which so has 15 more made with it: the call costs less than these then. */
const LONGEST_RUN = 60;

/** A window, and what of it an access reads. */
interface Entered {
  index: number;
  window: Window;
  cells: Int32Array;
  pages: Uint8Array;
}

/** Accesses by the goroutine that has a slot; whoever calls has made sure that one has it. */
export interface Accesses {
  /** One byte: `kind` is READ or PLAIN_WRITE. */
  one(slot: number, kind: number, low: number, high: number, pcLow: number, pcHigh: number): void;
  /** The bytes [address, address + sizeBytes), which are all below 2^48. */
  range(
    slot: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
  ): void;
  /** As `range`, one call deeper than the goroutine's stack says, if the pc of that call, `caller`, is not 0. */
  called(
    slot: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void;
  /** Forgets which window is at hand: mapped memory has changed. */
  leaveWindow(): void;
}

/**
 * @param state the slots' state (goroutine.ts)
 * @param atHand the pc of the access at hand (history.ts): of each that is recorded
 */
export function createAccesses(
  geometry: ShadowGeometry,
  windows: Windows,
  state: Int32Array,
  atHand: Int32Array,
  { push }: Stacks,
  { access, whole }: Recording,
): Accesses {
  const { wordsPerGranule } = geometry;
  const granuleShift = Math.log2(wordsPerGranule);
  /** log2 of the shadow words of a page. */
  const pageShift = geometry.pageShift - 2;

  /**
   * The window of the last access. An object, because V8 knows of its fields what they hold, and of variables that functions
   * share not even that they have been declared: for each it would check that, and what is in it.
   */
  const current: Entered = {
    index: -1,
    window: NO_WINDOW,
    cells: NO_WINDOW.cells,
    pages: NO_WINDOW.segment.shadowPages,
  };

  function leaveWindow(): void {
    current.index = -1;
  }

  function one(slot: number, kind: number, low: number, high: number, pcLow: number, pcHigh: number): void {
    const index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    if (index !== current.index && !enter(index)) return;
    const granule = (low & SEGMENT_MASK) >>> 3;
    const word = (slot << SLOT_SHIFT) | kind | (1 << (low & 7));
    const first = granule << granuleShift;
    if (current.pages[first >> pageShift] !== PAGE_TOUCHED && !commit(first)) return;
    const home = homeCell(first, slot, wordsPerGranule);
    const floor = state[(slot << STATE_SHIFT) + FLOOR] as number;
    if (
      (((current.cells[home] as number) ^ word) & (word | SLOT)) === 0 &&
      (current.cells[home + 1] as number) > floor
    )
      return;
    atHand[PC_LOW] = pcLow | 0;
    atHand[PC_HIGH] = pcHigh | 0;
    access(current.window, granule, word, NONE);
  }

  function range(
    slot: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    atHand[PC_LOW] = pcLow | 0;
    atHand[PC_HIGH] = pcHigh | 0;
    const word = (slot << SLOT_SHIFT) | kind;
    let index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    let at = low & SEGMENT_MASK;
    let rest = sizeBytes;
    while (rest > 0) {
      const count = Math.min(rest, SEGMENT_BYTES - at) | 0;
      if (index === current.index || enter(index)) {
        const first = at >>> 3;
        const last = (at + count - 1) >>> 3;
        const head = (BYTES << (at & 7)) & BYTES;
        const tail = BYTES >>> (7 - ((at + count - 1) & 7));
        if (first === last) {
          touch(first, word | (head & tail));
        } else {
          const from = head === BYTES ? first : first + 1;
          const end = tail === BYTES ? last + 1 : last;
          if (from > first) touch(first, word | head);
          wholeGranules(from, end, word | BYTES);
          if (end === last) touch(last, word | tail);
        }
      }
      rest -= count;
      at = 0;
      index++;
    }
  }

  function called(
    slot: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const at = slot << STATE_SHIFT;
    const below = state[at + STACK] as number;
    const callerLow = caller | 0;
    const callerHigh = Math.floor(caller / 2 ** 32);
    if (caller !== 0) state[at + STACK] = push(below, callerLow, callerHigh);
    try {
      range(slot, kind, low, high, sizeBytes, pcLow, pcHigh);
    } finally {
      state[at + STACK] = below;
    }
  }

  /** An access to a granule of the current window. */
  function touch(granule: number, word: number): void {
    if (!isTouched(granule)) return;
    access(current.window, granule, word, NONE);
  }

  /** An access to all bytes of the granules from `from` up to `end`, page by page. */
  function wholeGranules(from: number, end: number, word: number): void {
    const pageGranules = pageShift - granuleShift;
    let position = NONE;
    for (let granule = from; granule < end;) {
      const pageEnd = ((granule >> pageGranules) + 1) << pageGranules;
      const stop = end < pageEnd ? end : pageEnd;
      if (isTouched(granule)) {
        position = whole(current.window, granule, stop, word, position) | 0;
      }
      granule = stop;
    }
  }

  /** Whether the page of a granule's cells is touched, or can be. */
  function isTouched(granule: number): boolean {
    const first = granule << granuleShift;
    return current.pages[first >> pageShift] === PAGE_TOUCHED || commit(first);
  }

  /** Makes segment `index` the current window; false if nothing of it is mapped. */
  function enter(index: number): boolean {
    const entered = windows.at(index);
    if (entered === undefined) return false;
    current.index = index;
    current.window = entered;
    current.cells = entered.cells;
    current.pages = entered.segment.shadowPages;
    return true;
  }

  /** Makes the page of a shadow word usable; false if it is not mapped. */
  function commit(first: number): boolean {
    const page = first >> pageShift;
    if (current.pages[page] !== PAGE_MAPPED) return false;
    const end = growthEnd(page);
    if (end === page + 1) return touchPages(page, end);
    try {
      return touchPages(page, end);
    } catch {
      // There may be room for what is needed, if not for what comes with it.
      return touchPages(page, page + 1);
    }
  }

  /**
   * The end of what is made with `page`. Shadow is mostly touched upwards, as the heap grows: so behind it come as many
   * mapped pages as are a quarter of those that were touched right before it. That is never more than a quarter too much.
   */
  function growthEnd(page: number): number {
    let run = 0;
    while (run < LONGEST_RUN && run < page && current.pages[page - run - 1] === PAGE_TOUCHED) run++;
    const most = Math.min(page + 1 + (run >> 2), current.pages.length);
    let end = page + 1;
    while (end < most && current.pages[end] === PAGE_MAPPED) end++;
    return end;
  }

  /** Touches the pages from `from` up to `end`; whether the first is touched now: another thread may unmap any of them. */
  function touchPages(from: number, end: number): boolean {
    windows.shadow.touchShadow(
      current.window.segment,
      from << (pageShift + 2),
      (end - from) << (pageShift + 2),
    );
    for (let page = from; page < end; page++) {
      // A page that is read first gets the system's page of zeros, and a second fault when it is written.
      if (current.pages[page] === PAGE_TOUCHED) current.cells[page << pageShift] = 0;
    }
    return current.pages[from] === PAGE_TOUCHED;
  }

  return { one, range, called, leaveWindow };
}
