/**
 * What Malloc does to cells: accesses from before it are forgotten, to the byte.
 *
 * Most objects are small, so what is cleared is mostly a few granules of one segment, and the path to there is integers.
 */
import {
  GRANULE_SHIFT,
  PAGE_TOUCHED,
  SEGMENT_BYTES,
  SEGMENT_LOW_BITS,
  SEGMENT_MASK,
  SEGMENT_SHIFT,
  type ShadowGeometry,
} from '../shadow/segment.js';
import { BYTES, CELL_WORDS, SPILLED } from './cell.js';
import type { Spill } from './spill.js';
import type { Window, Windows } from './window.js';

/** From this size on Malloc leaves clearing to the shadow, which gives large parts back to the system. */
const BULK_CLEAR_BYTES = 64 * 1024;

/** Empties the cells of the bytes [address, address + sizeBytes), which are all below 2^48. */
export type Clear = (low: number, high: number, sizeBytes: number) => void;

export function createClearing(
  windows: Windows,
  spill: Spill,
  { wordsPerGranule, pageShift }: ShadowGeometry,
): Clear {
  const wordShift = Math.log2(wordsPerGranule);
  /** log2 of the shadow words of a page. */
  const pageWordShift = pageShift - 2;

  function clear(low: number, high: number, sizeBytes: number): void {
    let index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    let at = low & SEGMENT_MASK;
    let rest = sizeBytes;
    while (rest > 0) {
      const count = Math.min(rest, SEGMENT_BYTES - at) | 0;
      const window = windows.at(index);
      if (window !== undefined) clearWithin(window, at, count);
      rest -= count;
      at = 0;
      index++;
    }
  }

  /** Empties the cells of `count` bytes of a segment, from byte `at` of it on. */
  function clearWithin(window: Window, at: number, count: number): void {
    const first = at >>> GRANULE_SHIFT;
    const last = (at + count - 1) >>> GRANULE_SHIFT;
    const head = (BYTES << (at & 7)) & BYTES;
    const tail = BYTES >>> (7 - ((at + count - 1) & 7));
    if (first === last && (head & tail) !== BYTES) {
      clearPart(window, first, head & tail);
      return;
    }
    const from = head === BYTES ? first : first + 1;
    const end = tail === BYTES ? last + 1 : last;
    if (from > first) clearPart(window, first, head);
    if (end === last) clearPart(window, last, tail);
    if (end - from < BULK_CLEAR_BYTES >> GRANULE_SHIFT) {
      clearWhole(window, from, end);
    } else {
      windows.shadow.clearShadow(window.base + (from << GRANULE_SHIFT), (end - from) << GRANULE_SHIFT);
    }
  }

  /** Clears the cells of the granules from `from` up to `end`, page by page. */
  function clearWhole(window: Window, from: number, end: number): void {
    const { shadow, shadowPages } = window.segment;
    const last = end << wordShift;
    for (let at = from << wordShift; at < last;) {
      const page = at >> pageWordShift;
      const pageEnd = (page + 1) << pageWordShift;
      const next = last < pageEnd ? last : pageEnd;
      if (shadowPages[page] === PAGE_TOUCHED) emptyCells(shadow, at, next);
      at = next;
    }
  }

  /** Takes the bytes of `mask` out of the cells of one granule. */
  function clearPart(window: Window, granule: number, mask: number): void {
    const { shadow, shadowPages } = window.segment;
    const first = granule << wordShift;
    if (shadowPages[first >> pageWordShift] !== PAGE_TOUCHED) return;
    for (let at = first; at < first + wordsPerGranule; at += CELL_WORDS) {
      if (shadow[at + 1] === SPILLED) {
        const list = shadow[at] as number;
        const pool = spill.words;
        for (let cell = spill.first(list); cell < spill.end(list); cell += CELL_WORDS) {
          const old = pool[cell] as number;
          if (pool[cell + 1] !== 0 && clearBytes(pool, cell, mask)) spill.removed(list, cell, old);
        }
        if (spill.count(list) < 2) spill.close(window, granule, list);
      } else if (shadow[at + 1] !== 0) {
        clearBytes(shadow, at, mask);
      }
    }
  }

  return clear;
}

/** Takes bytes out of a cell; true if it is empty then. */
function clearBytes(cells: Int32Array, at: number, mask: number): boolean {
  const rest = (cells[at] as number) & ~mask;
  const empty = (rest & BYTES) === 0;
  cells[at] = empty ? 0 : rest;
  if (empty) cells[at + 1] = 0;
  return empty;
}

/**
 * Empties the cells in the words from `from` up to `end`. A few by hand, since TypedArray.fill has the cost of a call into
 * the engine; and of these the positions alone, which say that a cell is empty.
 */
function emptyCells(words: Int32Array, from: number, end: number): void {
  if (end - from > 128) words.fill(0, from, end);
  else for (let at = from; at < end; at += CELL_WORDS) words[at + 1] = 0;
}
