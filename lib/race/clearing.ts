/**
 * What Malloc does to cells: accesses from before it are forgotten, to the byte.
 */
import { GRANULE_BYTES, PAGE_TOUCHED, SEGMENT_SHIFT, type ShadowGeometry } from '../shadow/segment.js';
import { BYTES, byteMask, CELL_WORDS, SPILLED } from './cell.js';
import type { Spill } from './spill.js';
import type { Windows } from './window.js';

/** From this size on Malloc leaves clearing to the shadow, which gives large parts back to the system. */
const BULK_CLEAR_BYTES = 64 * 1024;

const SEGMENT_MASK = 2 ** SEGMENT_SHIFT - 1;

export class Clearing {
  readonly #windows: Windows;
  readonly #spill: Spill;
  readonly #granuleShift: number;
  readonly #wordsPerGranule: number;
  /** log2 of the shadow words of a page. */
  readonly #pageShift: number;

  constructor(windows: Windows, spill: Spill, { wordsPerGranule, pageShift }: ShadowGeometry) {
    this.#windows = windows;
    this.#spill = spill;
    this.#wordsPerGranule = wordsPerGranule;
    this.#granuleShift = Math.log2(wordsPerGranule);
    this.#pageShift = pageShift - 2;
  }

  /** Empties the cells of [address, address + sizeBytes). */
  clear(address: number, sizeBytes: number): void {
    const end = address + sizeBytes;
    const firstWhole = Math.ceil(address / GRANULE_BYTES) * GRANULE_BYTES;
    const endWhole = Math.floor(end / GRANULE_BYTES) * GRANULE_BYTES;
    if (firstWhole > endWhole) {
      this.#clearPart(endWhole, byteMask(address - endWhole, sizeBytes));
      return;
    }
    if (address < firstWhole) {
      const before = firstWhole - address;
      this.#clearPart(firstWhole - GRANULE_BYTES, byteMask(GRANULE_BYTES - before, before));
    }
    if (end > endWhole) this.#clearPart(endWhole, byteMask(0, end - endWhole));
    if (endWhole - firstWhole >= BULK_CLEAR_BYTES) {
      this.#windows.shadow.clearShadow(firstWhole, endWhole - firstWhole);
    } else if (endWhole > firstWhole) {
      this.#clearWhole(firstWhole, endWhole);
    }
  }

  /** Clears the cells of whole granules, page by page. */
  #clearWhole(start: number, end: number): void {
    for (let address = start; address < end;) {
      const index = Math.floor(address / 2 ** SEGMENT_SHIFT);
      const base = index * 2 ** SEGMENT_SHIFT;
      const stop = Math.min(end, base + SEGMENT_MASK + 1);
      const window = this.#windows.at(index);
      if (window !== undefined) {
        const { shadow, shadowPages } = window.segment;
        const last = ((stop - base) >>> 3) << this.#granuleShift;
        for (let at = ((address - base) >>> 3) << this.#granuleShift; at < last;) {
          const page = at >> this.#pageShift;
          const next = Math.min(last, (page + 1) << this.#pageShift);
          if (shadowPages[page] === PAGE_TOUCHED) clearWords(shadow, at, next);
          at = next;
        }
      }
      address = stop;
    }
  }

  /** Takes the bytes of `mask` out of the cells of one granule. */
  #clearPart(address: number, mask: number): void {
    const index = Math.floor(address / 2 ** SEGMENT_SHIFT);
    const window = this.#windows.at(index);
    if (window === undefined || mask === 0) return;
    const { shadow, shadowPages } = window.segment;
    const granule = (address - window.base) / GRANULE_BYTES;
    const first = granule << this.#granuleShift;
    if (shadowPages[first >> this.#pageShift] !== PAGE_TOUCHED) return;
    for (let at = first; at < first + this.#wordsPerGranule; at += CELL_WORDS) {
      if (shadow[at + 1] === SPILLED) {
        const list = shadow[at] as number;
        const pool = this.#spill.words;
        for (let cell = this.#spill.first(list); cell < this.#spill.end(list); cell += CELL_WORDS) {
          const old = pool[cell] as number;
          if (pool[cell + 1] !== 0 && clearBytes(pool, cell, mask)) this.#spill.removed(list, cell, old);
        }
        if (this.#spill.isEmpty(list)) this.#spill.close(window, granule, list);
      } else if (shadow[at + 1] !== 0) {
        clearBytes(shadow, at, mask);
      }
    }
  }
}

/** Takes bytes out of a cell; true if it is empty then. */
function clearBytes(cells: Int32Array, at: number, mask: number): boolean {
  const rest = (cells[at] as number) & ~mask;
  const empty = (rest & BYTES) === 0;
  cells[at] = empty ? 0 : rest;
  if (empty) cells[at + 1] = 0;
  return empty;
}

/** Writes zeros. Small ranges by hand: TypedArray.fill has the cost of a call into the engine. */
function clearWords(words: Int32Array, from: number, to: number): void {
  if (to - from > 128) words.fill(0, from, to);
  else for (let at = from; at < to; at++) words[at] = 0;
}
