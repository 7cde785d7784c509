/**
 * Accesses: which granules a read or a write touches, and whether they know it already.
 *
 * Callers pass addresses and pcs as two 32-bit words, as a recording has them, so that the path of an
 * access uses 32-bit integers alone: no bigint, no double, no allocation, no native call.
 *
 * An access is looked up in the cells of its granule, first where its slot puts them. Most are there, from the same
 * goroutine and epoch: that is two comparisons. The others are for record.ts.
 */
import { PAGE_MAPPED, PAGE_TOUCHED, SEGMENT_SHIFT, type ShadowMemory } from '../shadow/segment.js';
import { BYTES, homeCell, PLAIN, SLOT, SLOT_SHIFT, WRITE } from './cell.js';
import { FLOOR, type Goroutines, STACK, STATE_SHIFT } from './goroutine.js';
import { NONE, type Recording } from './record.js';
import type { Stacks } from './stack.js';
import { checkRange, NO_WINDOW, type Window, type Windows } from './window.js';

/** A plain read. */
export const READ = PLAIN;
/** A plain write. */
export const PLAIN_WRITE = PLAIN | WRITE;
/** An atomic load. */
export const ATOMIC_READ = 0;
/** Any other atomic. */
export const ATOMIC_WRITE = WRITE;

const SEGMENT_LOW_BITS = 32 - SEGMENT_SHIFT;
const SEGMENT_MASK = 2 ** SEGMENT_SHIFT - 1;

export class Accesses {
  readonly #shadow: ShadowMemory;
  readonly #windows: Windows;
  readonly #goroutines: Goroutines;
  readonly #stacks: Stacks;
  readonly #recording: Recording;
  readonly #granuleShift: number;
  readonly #wordsPerGranule: number;
  /** log2 of the shadow words of a page. */
  readonly #pageShift: number;

  // The window of the last access.
  #index = -1;
  #window: Window = NO_WINDOW;
  #cells: Int32Array = NO_WINDOW.segment.shadow;
  #pages: Uint8Array = NO_WINDOW.segment.shadowPages;

  constructor(
    shadow: ShadowMemory,
    windows: Windows,
    goroutines: Goroutines,
    stacks: Stacks,
    recording: Recording,
  ) {
    this.#shadow = shadow;
    this.#windows = windows;
    this.#goroutines = goroutines;
    this.#stacks = stacks;
    this.#recording = recording;
    this.#wordsPerGranule = shadow.wordsPerGranule;
    this.#granuleShift = Math.log2(shadow.wordsPerGranule);
    this.#pageShift = shadow.pageShift - 2;
  }

  /** Forgets which window is at hand: mapped memory has changed. */
  leaveWindow(): void {
    this.#index = -1;
  }

  /** One byte: `kind` is READ or PLAIN_WRITE. */
  one(goroutine: number, kind: number, low: number, high: number, pcLow: number, pcHigh: number): void {
    const slot = this.#goroutines.slotOf(goroutine);
    const index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    if (index !== this.#index && !this.#enter(index)) return;
    const granule = (low & SEGMENT_MASK) >>> 3;
    const word = (slot << SLOT_SHIFT) | kind | (1 << (low & 7));
    const first = granule << this.#granuleShift;
    if (this.#pages[first >> this.#pageShift] !== PAGE_TOUCHED && !this.#commit(first)) return;
    const home = homeCell(first, slot, this.#wordsPerGranule);
    const cells = this.#cells;
    const floor = this.#goroutines.state[(slot << STATE_SHIFT) + FLOOR] as number;
    if ((((cells[home] as number) ^ word) & (word | SLOT)) === 0 && (cells[home + 1] as number) > floor)
      return;
    this.#recording.access(this.#window, granule, word, slot, pcLow, pcHigh, NONE);
  }

  /** One byte, with the pc of the caller of the function that made the access. */
  oneCalled(
    goroutine: number,
    kind: number,
    low: number,
    high: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    this.called(this.#goroutines.slotOf(goroutine), kind, low, high, 1, pcLow, pcHigh, caller);
  }

  /** The bytes [address, address + sizeBytes). */
  range(
    goroutine: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const slot = this.#goroutines.slotOf(goroutine);
    checkRange('the access', high * 2 ** 32 + (low >>> 0), sizeBytes);
    this.#range(slot, kind, low, high, sizeBytes, pcLow, pcHigh);
  }

  #range(
    slot: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const word = (slot << SLOT_SHIFT) | kind;
    let index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    let at = low & SEGMENT_MASK;
    let rest = sizeBytes;
    while (rest > 0) {
      const count = Math.min(rest, SEGMENT_MASK + 1 - at);
      if (index === this.#index || this.#enter(index)) {
        const first = at >>> 3;
        const last = (at + count - 1) >>> 3;
        const head = (BYTES << (at & 7)) & BYTES;
        const tail = BYTES >>> (7 - ((at + count - 1) & 7));
        if (first === last) {
          this.#touch(first, word | (head & tail), slot, pcLow, pcHigh);
        } else {
          const from = head === BYTES ? first : first + 1;
          const end = tail === BYTES ? last + 1 : last;
          if (from > first) this.#touch(first, word | head, slot, pcLow, pcHigh);
          this.#whole(from, end, word | BYTES, slot, pcLow, pcHigh);
          if (end === last) this.#touch(last, word | tail, slot, pcLow, pcHigh);
        }
      }
      rest -= count;
      at = 0;
      index++;
    }
  }

  /** An access of `size` bytes one call deeper than the goroutine's stack says. */
  called(
    slot: number,
    kind: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const at = slot << STATE_SHIFT;
    const below = this.#stack(slot);
    const callerLow = caller | 0;
    const callerHigh = Math.floor(caller / 2 ** 32);
    if (caller !== 0) this.#goroutines.state[at + STACK] = this.#stacks.push(below, callerLow, callerHigh);
    try {
      this.#range(slot, kind, low, high, size, pcLow, pcHigh);
    } finally {
      this.#goroutines.state[at + STACK] = below;
    }
  }

  /** An access to a granule of the current window. */
  #touch(granule: number, word: number, slot: number, pcLow: number, pcHigh: number): void {
    if (!this.#isTouched(granule)) return;
    this.#recording.access(this.#window, granule, word, slot, pcLow, pcHigh, NONE);
  }

  /** An access to all bytes of the granules from `from` up to `end`, page by page. */
  #whole(from: number, end: number, word: number, slot: number, pcLow: number, pcHigh: number): void {
    const pageGranules = this.#pageShift - this.#granuleShift;
    let position = NONE;
    for (let granule = from; granule < end;) {
      const stop = Math.min(end, ((granule >> pageGranules) + 1) << pageGranules);
      if (this.#isTouched(granule)) {
        position = this.#recording.whole(this.#window, granule, stop, word, slot, pcLow, pcHigh, position);
      }
      granule = stop;
    }
  }

  /** Whether the page of a granule's cells is touched, or can be. */
  #isTouched(granule: number): boolean {
    const first = granule << this.#granuleShift;
    return this.#pages[first >> this.#pageShift] === PAGE_TOUCHED || this.#commit(first);
  }

  /** The goroutine's current stack. */
  #stack(slot: number): number {
    return this.#goroutines.state[(slot << STATE_SHIFT) + STACK] as number;
  }

  /** Makes segment `index` the current window; false if nothing of it is mapped. */
  #enter(index: number): boolean {
    const window = this.#windows.at(index);
    if (window === undefined) return false;
    this.#index = index;
    this.#window = window;
    this.#cells = window.segment.shadow;
    this.#pages = window.segment.shadowPages;
    return true;
  }

  /** Makes the page of a shadow word usable; false if it is not mapped. */
  #commit(first: number): boolean {
    if (this.#pages[first >> this.#pageShift] !== PAGE_MAPPED) return false;
    this.#shadow.touchShadow(this.#window.segment, first << 2, this.#wordsPerGranule << 2);
    if (this.#pages[first >> this.#pageShift] !== PAGE_TOUCHED) return false;
    // A page that is read first gets the system's page of zeros, and a second fault when it is written.
    this.#cells[first] = 0;
    return true;
  }
}
