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
import type { TableSpace } from '../native/table.js';
import {
  PAGE_TOUCHED,
  SEGMENT_BYTES,
  SEGMENT_LOW_BITS,
  SEGMENT_MASK,
  SEGMENT_SHIFT,
  type ShadowGeometry,
} from '../shadow/segment.js';
import { type Clocks, EMPTY_CLOCK } from './clock.js';
import { joinWords } from './stack.js';
import type { Window, Windows } from './window.js';

/** log2 of the words of an object. */
export const SYNC_SHIFT = 2;
/** The clock of what happened before the release. */
export const SYNC_CLOCK = 0;
/** The slot that released, -1 if the clock says it all. */
export const SYNC_SLOT = 1;
/** Its position. */
export const SYNC_POSITION = 2;
/** The next object of the granule, and below that the byte that this one is of. */
const LINK = 3;
const BYTE_BITS = 3;
const BYTE_MASK = 2 ** BYTE_BITS - 1;

/** What of a detector's tables is objects: 512 MiB, for 33 million. */
const OBJECT_PART = 1 / 8;

/** No slot: the object's clock is complete by itself. */
export const MERGED = -1;

const SEGMENT_GRANULE_MASK = SEGMENT_MASK >>> 3;

export interface SyncObjects {
  /** 2^SYNC_SHIFT words for each object; object 0 is none. */
  readonly words: Int32Array;
  /** The object of an address, 0 if it has none. */
  find(low: number, high: number): number;
  /**
   * The object of an address, made if it has none: with the empty clock, MERGED.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY
   */
  make(low: number, high: number): number;
  /** As `make`, for who does not ask what the object has held. */
  renew(low: number, high: number): number;
  /** Forgets the objects of the `sizeBytes` bytes from an address on. */
  drop(low: number, high: number, sizeBytes: number): void;
  /** Moves objects into metainfo that has come to be mapped. */
  adopt(): void;
  /** Replaces the clock of every object by what `replace` says. */
  replaceClocks(replace: (clock: number) => number): void;
  /** There are no objects; what clocks they held is forgotten too. */
  reset(): void;
}

export function createSyncObjects(
  space: TableSpace,
  windows: Windows,
  clocks: Clocks,
  { pageShift }: ShadowGeometry,
): SyncObjects {
  const memory = space.table('sync objects', OBJECT_PART);
  const { words } = memory;
  /** log2 of the metainfo words of a page. */
  const pageWordShift = pageShift - 2;
  /** Objects at addresses without metainfo: the address of a granule to its first object. */
  const elsewhere = new Map<number, number>();
  let used = 1;
  /** Objects that were dropped, linked through LINK. */
  let free = 0;

  function reset(): void {
    memory.reset();
    elsewhere.clear();
    used = 1;
    free = 0;
  }

  function find(low: number, high: number): number {
    const window = windows.at((high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT));
    const granule = (low >>> 3) & SEGMENT_GRANULE_MASK;
    const byte = low & 7;
    let object = 0;
    if (window !== undefined && window.segment.metainfoPages[granule >> pageWordShift] === PAGE_TOUCHED) {
      object = window.segment.metainfo[granule] as number;
    } else if (elsewhere.size > 0) {
      object = (elsewhere.get(granuleAddress(low, high)) ?? 0) | 0;
    }
    while (object !== 0) {
      const link = words[(object << SYNC_SHIFT) + LINK] as number;
      if ((link & BYTE_MASK) === byte) break;
      object = link >> BYTE_BITS;
    }
    return object;
  }

  function make(low: number, high: number): number {
    const found = find(low, high);
    return found !== 0 ? found : add(low, high);
  }

  function add(low: number, high: number): number {
    const window = windows.at((high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT));
    const granule = (low >>> 3) & SEGMENT_GRANULE_MASK;
    if (window !== undefined && touch(window, granule)) {
      const object = alloc(low & 7, window.segment.metainfo[granule] as number);
      window.segment.metainfo[granule] = object | 0;
      return object;
    }
    const key = granuleAddress(low, high);
    const object = alloc(low & 7, elsewhere.get(key) ?? 0);
    elsewhere.set(key, object);
    return object;
  }

  function drop(low: number, high: number, sizeBytes: number): void {
    let index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    let at = low & SEGMENT_MASK;
    for (let rest = sizeBytes; rest > 0;) {
      const count = Math.min(rest, SEGMENT_BYTES - at) | 0;
      const window = windows.at(index);
      if (window !== undefined) dropWithin(window, at, at + count);
      rest -= count;
      at = 0;
      index++;
    }
    if (elsewhere.size > 0) dropElsewhere(joinWords(low, high), sizeBytes);
  }

  function dropElsewhere(address: number, sizeBytes: number): void {
    const end = address + sizeBytes;
    for (const [granule, object] of elsewhere) {
      if (granule + 8 <= address || granule >= end) continue;
      const rest = dropFrom(object, address - granule, end - granule);
      if (rest === 0) elsewhere.delete(granule);
      else elsewhere.set(granule, rest);
    }
  }

  function adopt(): void {
    for (const [granule, first] of elsewhere) {
      const window = windows.at(Math.floor(granule / 2 ** SEGMENT_SHIFT));
      if (window === undefined) continue;
      const at = (granule - window.base) / 8;
      if (!touch(window, at)) continue;
      // Nothing of this granule was in metainfo before: it was not mapped.
      window.segment.metainfo[at] = first;
      elsewhere.delete(granule);
    }
  }

  function replaceClocks(replace: (clock: number) => number): void {
    for (let object = 1; object < used; object++) {
      const at = (object << SYNC_SHIFT) + SYNC_CLOCK;
      words[at] = replace(words[at] as number);
    }
  }

  function touch({ segment }: Window, granule: number): boolean {
    const page = granule >> pageWordShift;
    if (segment.metainfoPages[page] !== PAGE_TOUCHED) windows.shadow.touchMetainfo(segment, granule << 2, 4);
    return segment.metainfoPages[page] === PAGE_TOUCHED;
  }

  /** Drops the objects of bytes [from, to) of a window. */
  function dropWithin(window: Window, from: number, to: number): void {
    const { metainfo, metainfoPages } = window.segment;
    const end = (to + 7) >>> 3;
    for (let granule = from >>> 3; granule < end;) {
      const page = granule >> pageWordShift;
      const pageEnd = (page + 1) << pageWordShift;
      const stop = end < pageEnd ? end : pageEnd;
      if (metainfoPages[page] === PAGE_TOUCHED) {
        for (; granule < stop; granule++) {
          const object = metainfo[granule] as number;
          if (object !== 0) {
            metainfo[granule] = dropFrom(object, from - granule * 8, to - granule * 8) | 0;
          }
        }
      }
      granule = stop;
    }
  }

  /** Drops the objects of a granule's list whose byte is in [from, to); returns the list's new first object. */
  function dropFrom(first: number, from: number, to: number): number {
    let kept = 0;
    for (let object = first; object !== 0;) {
      const at = object << SYNC_SHIFT;
      const link = words[at + LINK] as number;
      const byte = link & BYTE_MASK;
      if (byte >= from && byte < to) {
        clocks.release(words[at + SYNC_CLOCK] as number);
        words[at + SYNC_CLOCK] = EMPTY_CLOCK;
        words[at + LINK] = free << BYTE_BITS;
        free = object;
      } else {
        words[at + LINK] = (kept << BYTE_BITS) | byte;
        kept = object;
      }
      object = link >> BYTE_BITS;
    }
    return kept;
  }

  function alloc(byte: number, next: number): number {
    let object = free | 0;
    if (object !== 0) {
      free = (words[(object << SYNC_SHIFT) + LINK] as number) >> BYTE_BITS;
    } else {
      memory.reserve((used + 1) << SYNC_SHIFT);
      object = used++;
    }
    const at = object << SYNC_SHIFT;
    words[at + SYNC_CLOCK] = EMPTY_CLOCK;
    words[at + SYNC_SLOT] = MERGED;
    words[at + SYNC_POSITION] = 0;
    words[at + LINK] = (next << BYTE_BITS) | byte;
    return object;
  }

  return {
    words,
    find,
    make,
    renew: make,
    drop,
    adopt,
    replaceClocks,
    reset,
  };
}

function granuleAddress(low: number, high: number): number {
  return joinWords(low, high) - (low & 7);
}
