/**
 * Windows: the segments of shadow that a detector has at hand, and which of their granules it may use.
 *
 * Accesses alternate between data segment and heap, so a change of window must be cheap: a table with a number for
 * each of the 2^20 segments of a 48-bit address space (2 MiB that the system backs only where it is used).
 * Shadow is mapped in whole pages; accesses count only in the bytes that MapShadow named, so each window
 * knows those too.
 */
import { LazyShadowError } from '../native/errors.js';
import {
  GRANULE_BYTES,
  SEGMENT_BYTES,
  SEGMENT_COUNT,
  type ShadowMemory,
  type ShadowSegment,
} from '../shadow/segment.js';

/** Windows are numbered in 16 bits; that is 16 TiB of application memory. */
const WINDOW_LIMIT = 2 ** 16;

/** Addresses are below this. */
export const ADDRESS_LIMIT = 2 ** 48;

export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

export interface Window {
  readonly segment: ShadowSegment;
  /** First application address. */
  readonly base: number;
  /** Granules [firstGranule, endGranule) hold all of the segment's mapped memory. */
  firstGranule: number;
  endGranule: number;
  /** Whether some granules between them are not mapped. */
  holes: boolean;
}

export class Windows {
  readonly #shadow: ShadowMemory;
  readonly #numbers = new Uint16Array(SEGMENT_COUNT);
  readonly #windows: (Window | undefined)[] = [undefined];
  /** What MapShadow named: disjoint, ascending, never touching. */
  #ranges: AddressRange[] = [];

  constructor(shadow: ShadowMemory) {
    this.#shadow = shadow;
  }

  get ranges(): readonly AddressRange[] {
    return this.#ranges;
  }

  /** All windows in use. */
  *[Symbol.iterator](): IterableIterator<Window> {
    for (const window of this.#windows) if (window !== undefined) yield window;
  }

  /** The window of segment `index`, or undefined while none of it is mapped. */
  at(index: number): Window | undefined {
    return this.#windows[this.#numbers[index] as number] ?? this.#open(index);
  }

  /** Maps shadow for [address, address + sizeBytes). */
  map(address: number, sizeBytes: number): void {
    this.#shadow.mapShadow(address, sizeBytes);
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

  /** Whether the granule at `address` has a mapped byte. */
  isMapped(address: number): boolean {
    return this.#ranges.some(({ start, end }) => address + GRANULE_BYTES > start && address < end);
  }

  #open(index: number): Window | undefined {
    const segment = this.#shadow.segment(index);
    if (segment === undefined) return undefined;
    const number = this.#windows.length;
    if (number === WINDOW_LIMIT) {
      throw new LazyShadowError('ERR_OUT_OF_RANGE', 'accesses to more than 16 TiB of application memory');
    }
    const window = { segment, base: index * SEGMENT_BYTES, firstGranule: 0, endGranule: 0, holes: false };
    this.#measure(window);
    this.#windows.push(window);
    this.#numbers[index] = number;
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
