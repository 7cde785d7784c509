/**
 * A set of bytes of the program's memory: for each granule of a segment a mask of its eight.
 *
 * A segment's masks are 32 MiB of which the system makes only the pages that are used.
 */
import {
  GRANULE_SHIFT,
  SEGMENT_BYTES,
  SEGMENT_LOW_BITS,
  SEGMENT_MASK,
  SEGMENT_SHIFT,
} from '../shadow/segment.js';
import { BYTES } from './cell.js';

const SEGMENT_GRANULES = SEGMENT_BYTES >> GRANULE_SHIFT;

const NO_MASKS: Uint8Array = new Uint8Array(0);

export class ByteMarks {
  readonly #segments = new Map<number, Uint8Array>();
  /** The segment that was asked for last, and its masks: none if none of its bytes is in the set. */
  #index = -1;
  #masks: Uint8Array = NO_MASKS;

  /** The bytes in the set of a granule of segment `index`, as a mask. */
  of(index: number, granule: number): number {
    if (index !== this.#index) this.#enter(index);
    return this.#masks.length === 0 ? 0 : (this.#masks[granule] as number);
  }

  /** Adds the `sizeBytes` bytes from an address on. */
  add(low: number, high: number, sizeBytes: number): void {
    let index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    let at = low & SEGMENT_MASK;
    for (let rest = sizeBytes; rest > 0;) {
      const count = Math.min(rest, SEGMENT_BYTES - at) | 0;
      this.#addWithin(index, at, count);
      rest -= count;
      at = 0;
      index++;
    }
  }

  /** Adds `count` bytes of a segment, from byte `at` of it on. */
  #addWithin(index: number, at: number, count: number): void {
    if (index !== this.#index) this.#enter(index);
    if (this.#masks.length === 0) this.#open(index);
    const masks = this.#masks;
    const first = at >> GRANULE_SHIFT;
    const last = (at + count - 1) >> GRANULE_SHIFT;
    const head = (BYTES << (at & 7)) & BYTES;
    const tail = BYTES >> (7 - ((at + count - 1) & 7));
    if (first === last) {
      masks[first] = (masks[first] as number) | (head & tail);
      return;
    }
    masks[first] = (masks[first] as number) | head;
    masks[last] = (masks[last] as number) | tail;
    // A few by hand, since TypedArray.fill has the cost of a call into the engine.
    if (last - first > 64) masks.fill(BYTES, first + 1, last);
    else for (let granule = first + 1; granule < last; granule++) masks[granule] = BYTES;
  }

  #enter(index: number): void {
    this.#index = index;
    this.#masks = this.#segments.get(index) ?? NO_MASKS;
  }

  #open(index: number): void {
    this.#masks = new Uint8Array(SEGMENT_GRANULES);
    this.#segments.set(index, this.#masks);
  }
}
