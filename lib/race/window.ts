/**
 * Windows: the segments of shadow that a detector has at hand, and which of their granules it may use.
 *
 * Accesses alternate between data segment and heap, so a change of window must be cheap: the windows of the segments
 * that were asked for last are found by their index.
 * Shadow is mapped in whole pages; accesses count only in the bytes that MapShadow named, so each window
 * knows those too.
 */
import { LazyShadowError } from '../native/errors.js';
import { GRANULE_BYTES, SEGMENT_BYTES, type ShadowMemory, type ShadowSegment } from '../shadow/segment.js';

/** Windows at hand: nearly 16 GiB of application memory in a row without two that share a place. A power of two. */
const AT_HAND = 64;

export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

export interface Window {
  readonly segment: ShadowSegment;
  /** The segment's shadow. */
  readonly cells: Int32Array;
  /** First application address. */
  readonly base: number;
  /** Granules [firstGranule, endGranule) hold all of the segment's mapped memory. */
  firstGranule: number;
  endGranule: number;
  /** Whether some granules between them are not mapped. */
  holes: boolean;
}

/** Stands for the window of an address that nothing is mapped at. */
export const NO_WINDOW: Window = {
  segment: {
    index: -1,
    shadow: new Int32Array(0),
    shadowPages: new Uint8Array(0),
    metainfo: new Int32Array(0),
    metainfoPages: new Uint8Array(0),
  },
  cells: new Int32Array(0),
  base: 0,
  firstGranule: 0,
  endGranule: 0,
  holes: false,
};

export class Windows {
  #shadow: ShadowMemory | undefined;
  /** By `handOf` the segment's index: the window that was asked for last. */
  readonly #atHand: Window[] = new Array<Window>(AT_HAND).fill(NO_WINDOW);
  /** All windows in use, by segment. */
  readonly #windows = new Map<number, Window>();
  /** What MapShadow named: disjoint, ascending, never touching. */
  #ranges: AddressRange[] = [];

  /** The shadow that the windows are of. */
  get shadow(): ShadowMemory {
    if (this.#shadow !== undefined) return this.#shadow;
    throw new LazyShadowError('ERR_INVALID_USE', 'the detector has no shadow: begin it with one.');
  }

  /** No windows yet: those that there will be are this shadow's, or no one's. */
  reset(shadow: ShadowMemory | undefined): void {
    this.#shadow = shadow;
    this.#atHand.fill(NO_WINDOW);
    this.#windows.clear();
    this.#ranges = [];
  }

  /** The mapped range that an address is in. */
  rangeOf(address: number): AddressRange | undefined {
    return this.#ranges.find(({ start, end }) => address >= start && address < end);
  }

  /** All windows in use. */
  [Symbol.iterator](): IterableIterator<Window> {
    return this.#windows.values();
  }

  /** The window of segment `index`, or undefined while none of it is mapped. */
  at(index: number): Window | undefined {
    const window = this.#atHand[handOf(index)] as Window;
    return window.segment.index === index ? window : this.#find(index);
  }

  /** Maps shadow for [address, address + sizeBytes). */
  map(address: number, sizeBytes: number): void {
    this.shadow.mapShadow(address, sizeBytes);
    let start = address;
    let end = address + sizeBytes;
    const apart: AddressRange[] = [];
    for (const range of this.#ranges) {
      if (range.end < start || range.start > end) {
        apart.push(range);
      } else {
        start = Math.min(start, range.start);
        end = Math.max(end, range.end);
      }
    }
    apart.push({ start, end });
    this.#ranges = apart.sort((a, b) => a.start - b.start);
    for (const window of this) this.#measure(window);
  }

  /** [address, address + sizeBytes) is no longer mapped. */
  unmap(address: number, sizeBytes: number): void {
    const end = address + sizeBytes;
    this.#ranges = this.#ranges.flatMap((range) => [
      ...(range.start < address ? [{ start: range.start, end: Math.min(range.end, address) }] : []),
      ...(range.end > end ? [{ start: Math.max(range.start, end), end: range.end }] : []),
    ]);
    for (const window of this) this.#measure(window);
  }

  /** Gives all shadow back, which is empty when it is mapped again. */
  unmapAll(): void {
    for (const { start, end } of this.#ranges) this.shadow.unmapShadow(start, end - start);
  }

  /** Whether the granule at `address` has a mapped byte. */
  isMapped(address: number): boolean {
    return this.#ranges.some(({ start, end }) => address + GRANULE_BYTES > start && address < end);
  }

  #find(index: number): Window | undefined {
    const window = this.#windows.get(index) ?? this.#open(index);
    if (window !== undefined) this.#atHand[handOf(index)] = window;
    return window;
  }

  #open(index: number): Window | undefined {
    const segment = this.shadow.segment(index);
    if (segment === undefined) return undefined;
    const window = {
      segment,
      cells: segment.shadow,
      base: index * SEGMENT_BYTES,
      firstGranule: 0,
      endGranule: 0,
      holes: false,
    };
    this.#measure(window);
    this.#windows.set(index, window);
    return window;
  }

  #measure(window: Window): void {
    const end = window.base + SEGMENT_BYTES;
    const within = this.#ranges.filter((range) => range.start < end && range.end > window.base);
    const first = within[0];
    const last = within.at(-1);
    window.firstGranule = 0;
    window.endGranule = 0;
    if (first === undefined || last === undefined) return;
    window.firstGranule = Math.floor((Math.max(first.start, window.base) - window.base) / GRANULE_BYTES);
    window.endGranule = Math.ceil((Math.min(last.end, end) - window.base) / GRANULE_BYTES);
    window.holes = within.length > 1;
  }
}

/** Go's data lies in segment 0 and its heap from 0xc00 on: their low bits alone would be the same. */
function handOf(index: number): number {
  return (index + (index >>> 8)) & (AT_HAND - 1);
}
