/**
 * Sync objects: what a release left behind for the acquires of the same address.
 *
 * The metainfo of a granule is the number of its first sync object, 0 if it has none; the objects of the
 * same granule are linked (their addresses differ in the low three bits). Sync addresses outside mapped memory, which
 * Go does not have but other callers may, are kept in a Map until their memory is mapped.
 *
 * What an object holds is mostly one goroutine's release, and that is kept without a copy: the goroutine's clock as
 * it was then (shared, clock.ts) and the slot and position of the release. A release-merge of clocks that do
 * not include one another makes it a clock of its own (slot -1).
 */
import { PAGE_TOUCHED, SEGMENT_SHIFT } from '../shadow/segment.js';
import { type Clocks, EMPTY_CLOCK } from './clock.js';
import { reserve } from './goroutine.js';
import type { Window, Windows } from './window.js';

/** log2 of the words of an object. */
export const SYNC_SHIFT = 3;
/** The clock of what happened before the release. */
export const SYNC_CLOCK = 0;
/** The slot that released, -1 if the clock says it all. */
export const SYNC_SLOT = 1;
/** Its position. */
export const SYNC_POSITION = 2;
const NEXT = 3;
const BYTE = 4;

/** Objects that there is room for at first. */
const FEW = 64;

/** No slot: the object's clock is complete by itself. */
export const MERGED = -1;

const SEGMENT_GRANULE_MASK = 2 ** (SEGMENT_SHIFT - 3) - 1;
const SEGMENT_LOW_BITS = 32 - SEGMENT_SHIFT;

export class SyncObjects {
  /** 2^SYNC_SHIFT words for each object; object 0 is none. */
  words: Int32Array = new Int32Array(FEW << SYNC_SHIFT);
  #used = 1;
  #free = 0;
  #live = 0;
  /** log2 of the metainfo words of a page. */
  readonly #pageShift: number;
  readonly #windows: Windows;
  readonly #clocks: Clocks;
  /** Objects at addresses without metainfo: the address of a granule to its first object. */
  readonly #elsewhere = new Map<number, number>();

  /** @param pageShift log2 of the bytes of a page */
  constructor(windows: Windows, clocks: Clocks, pageShift: number) {
    this.#windows = windows;
    this.#clocks = clocks;
    this.#pageShift = pageShift - 2;
  }

  /** There are no objects; what clocks they held is forgotten too. */
  reset(): void {
    this.words = new Int32Array(FEW << SYNC_SHIFT);
    this.#used = 1;
    this.#free = 0;
    this.#live = 0;
    this.#elsewhere.clear();
  }

  get liveCount(): number {
    return this.#live;
  }

  get bytes(): number {
    return this.words.byteLength;
  }

  /** The object of an address, 0 if it has none. */
  find(low: number, high: number): number {
    const window = this.#windows.at((high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT));
    const granule = (low >>> 3) & SEGMENT_GRANULE_MASK;
    const byte = low & 7;
    let object = 0;
    if (window !== undefined && window.segment.metainfoPages[granule >> this.#pageShift] === PAGE_TOUCHED) {
      object = window.segment.metainfo[granule] as number;
    } else if (this.#elsewhere.size > 0) {
      object = this.#elsewhere.get(granuleAddress(low, high)) ?? 0;
    }
    while (object !== 0 && this.words[(object << SYNC_SHIFT) + BYTE] !== byte) {
      object = this.words[(object << SYNC_SHIFT) + NEXT] as number;
    }
    return object;
  }

  /** The object of an address, made if it has none: with the empty clock, MERGED. */
  make(low: number, high: number): number {
    const found = this.find(low, high);
    if (found !== 0) return found;
    const window = this.#windows.at((high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT));
    const granule = (low >>> 3) & SEGMENT_GRANULE_MASK;
    if (window !== undefined && this.#touch(window, granule)) {
      const object = this.#alloc(low & 7, window.segment.metainfo[granule] as number);
      window.segment.metainfo[granule] = object;
      return object;
    }
    const key = granuleAddress(low, high);
    const object = this.#alloc(low & 7, this.#elsewhere.get(key) ?? 0);
    this.#elsewhere.set(key, object);
    return object;
  }

  /** Forgets the objects with an address in [address, address + sizeBytes). */
  drop(address: number, sizeBytes: number): void {
    const end = address + sizeBytes;
    for (let at = address; at < end;) {
      const index = Math.floor(at / 2 ** SEGMENT_SHIFT);
      const stop = Math.min(end, (index + 1) * 2 ** SEGMENT_SHIFT);
      const window = this.#windows.at(index);
      if (window !== undefined) this.#dropWithin(window, at - window.base, stop - window.base);
      at = stop;
    }
    if (this.#elsewhere.size === 0) return;
    for (const [granule, object] of this.#elsewhere) {
      if (granule + 8 <= address || granule >= end) continue;
      const rest = this.#dropFrom(object, address - granule, end - granule);
      if (rest === 0) this.#elsewhere.delete(granule);
      else this.#elsewhere.set(granule, rest);
    }
  }

  /** Moves objects into metainfo that has come to be mapped. */
  adopt(): void {
    for (const [granule, first] of this.#elsewhere) {
      const window = this.#windows.at(Math.floor(granule / 2 ** SEGMENT_SHIFT));
      if (window === undefined) continue;
      const at = (granule - window.base) / 8;
      if (!this.#touch(window, at)) continue;
      // Nothing of this granule was in metainfo before: it was not mapped.
      window.segment.metainfo[at] = first;
      this.#elsewhere.delete(granule);
    }
  }

  /** Replaces the clock of every object by what `replace` says. */
  replaceClocks(replace: (clock: number) => number): void {
    for (let object = 1; object < this.#used; object++) {
      const at = (object << SYNC_SHIFT) + SYNC_CLOCK;
      this.words[at] = replace(this.words[at] as number);
    }
  }

  #touch(window: Window, granule: number): boolean {
    const { segment } = window;
    if (segment.metainfoPages[granule >> this.#pageShift] !== PAGE_TOUCHED) {
      this.#windows.shadow.touchMetainfo(segment, granule << 2, 4);
    }
    return segment.metainfoPages[granule >> this.#pageShift] === PAGE_TOUCHED;
  }

  /** Drops the objects of bytes [from, to) of a window. */
  #dropWithin(window: Window, from: number, to: number): void {
    const { metainfo, metainfoPages } = window.segment;
    const end = Math.min((to + 7) >>> 3, metainfo.length);
    for (let granule = from >>> 3; granule < end;) {
      const page = granule >> this.#pageShift;
      const stop = Math.min(end, (page + 1) << this.#pageShift);
      if (metainfoPages[page] === PAGE_TOUCHED) {
        for (; granule < stop; granule++) {
          const object = metainfo[granule] as number;
          if (object !== 0) {
            metainfo[granule] = this.#dropFrom(object, from - granule * 8, to - granule * 8);
          }
        }
      }
      granule = stop;
    }
  }

  /** Drops the objects of a granule's list whose byte is in [from, to); returns the list's new first object. */
  #dropFrom(first: number, from: number, to: number): number {
    let kept = 0;
    for (let object = first; object !== 0;) {
      const at = object << SYNC_SHIFT;
      const next = this.words[at + NEXT] as number;
      const byte = this.words[at + BYTE] as number;
      if (byte >= from && byte < to) {
        this.#clocks.release(this.words[at + SYNC_CLOCK] as number);
        this.words[at + SYNC_CLOCK] = EMPTY_CLOCK;
        this.words[at + NEXT] = this.#free;
        this.#free = object;
        this.#live--;
      } else {
        this.words[at + NEXT] = kept;
        kept = object;
      }
      object = next;
    }
    return kept;
  }

  #alloc(byte: number, next: number): number {
    let object = this.#free;
    if (object !== 0) this.#free = this.words[(object << SYNC_SHIFT) + NEXT] as number;
    else {
      object = this.#used++;
      this.words = reserve(this.words, this.#used << SYNC_SHIFT);
    }
    const at = object << SYNC_SHIFT;
    this.words[at + SYNC_CLOCK] = EMPTY_CLOCK;
    this.words[at + SYNC_SLOT] = MERGED;
    this.words[at + SYNC_POSITION] = 0;
    this.words[at + NEXT] = next;
    this.words[at + BYTE] = byte;
    this.#live++;
    return object;
  }
}

function granuleAddress(low: number, high: number): number {
  return high * 2 ** 32 + (low >>> 0) - (low & 7);
}
