/**
 * Spill: the cells of a granule that needs more of them than fit its shadow.
 *
 * The granule's last cell then holds the place of a list in this pool instead of an access:
 *
 *     shadow   | cell | cell | cell | list, SPILLED |
 *                                       │
 *     pool     | segment | granule | log2 capacity | count | writes | used | cell | cell | cell | …
 *
 * A list is a hash table of cells by slot (linear probing), because its usual reason is data that very many
 * goroutines read: a read looks only at its own slot's cells, however long the list, as long as no write is in it.
 * Nothing tells the pool when Malloc clears the shadow under a list. Before the pool grows it therefore looks
 * which lists their granules still point to, and takes back the others.
 */
import { PAGE_TOUCHED } from '../shadow/segment.js';
import { CELL_WORDS, cellSlot, SLOT, SPILLED, WRITE } from './cell.js';
import { reserve } from './goroutine.js';
import type { Window, Windows } from './window.js';

const SEGMENT = 0;
const GRANULE = 1;
const SIZE = 2;
const COUNT = 3;
const WRITES = 4;
/** Cells that are not empty: those in use and those removed. */
const USED = 5;
/** Words before the cells; a multiple of CELL_WORDS. */
export const SPILL_HEADER_WORDS = 6;

/** log2 of the cells of a new list. */
const FIRST_SIZE = 2;

/** SEGMENT of a list that was given back. */
const FREE = -1;

/** Word 0 of a cell that was removed: probing goes on past it. Word 1 is 0 as in an empty cell. */
const REMOVED = 1;

const POOL_WORDS = 1 << 12;

export class Spill {
  /** The lists, one after another. A place is the index of a list's header. */
  words: Int32Array = new Int32Array(POOL_WORDS);
  readonly #windows: Windows;
  /** Where the last cell of a granule is: its words, less CELL_WORDS. */
  readonly #granuleShift: number;
  readonly #lastCell: number;
  readonly #pageShift: number;
  #used = 0;
  #live = 0;
  /** Lists that were given back, by SIZE: the first of each, linked through GRANULE; -1 if none. */
  readonly #free: Int32Array = new Int32Array(32).fill(-1);

  constructor(windows: Windows, wordsPerGranule: number, pageShift: number) {
    this.#windows = windows;
    this.#granuleShift = Math.log2(wordsPerGranule);
    this.#lastCell = wordsPerGranule - CELL_WORDS;
    this.#pageShift = pageShift - 2;
  }

  /** There are no lists. */
  reset(): void {
    this.words = new Int32Array(POOL_WORDS);
    this.#used = 0;
    this.#live = 0;
    this.#free.fill(-1);
  }

  /** Lists that were made and not given back; some may have lost their granule since. */
  get liveLists(): number {
    return this.#live;
  }

  get bytes(): number {
    return this.words.byteLength;
  }

  /** Spills a granule whose cells are all in use: one of them, a read if there is one, moves to a new list. */
  open(window: Window, granule: number): number {
    const list = this.#alloc(FIRST_SIZE, window.segment.index, granule);
    const { shadow } = window.segment;
    const first = granule << this.#granuleShift;
    const at = first + this.#lastCell;
    for (let other = first; other < at && ((shadow[at] as number) & WRITE) !== 0; other += CELL_WORDS) {
      if (((shadow[other] as number) & WRITE) === 0) swapCells(shadow, other, at);
    }
    this.#put(list, shadow[at] as number, shadow[at + 1] as number);
    shadow[at] = list;
    shadow[at + 1] = SPILLED;
    return list;
  }

  /** Index of the list's first cell. */
  first(list: number): number {
    return list + SPILL_HEADER_WORDS;
  }

  /** Index past the list's last cell. */
  end(list: number): number {
    return list + SPILL_HEADER_WORDS + (CELL_WORDS << (this.words[list + SIZE] as number));
  }

  hasWrites(list: number): boolean {
    return (this.words[list + WRITES] as number) > 0;
  }

  isEmpty(list: number): boolean {
    return this.words[list + COUNT] === 0;
  }

  /** Index of the first cell to probe for `slot`. */
  probe(list: number, slot: number): number {
    const mask = (1 << (this.words[list + SIZE] as number)) - 1;
    return list + SPILL_HEADER_WORDS + (hash(slot) & mask) * CELL_WORDS;
  }

  /** Index of the cell to probe after the one at `at`. */
  next(list: number, at: number): number {
    return at + CELL_WORDS === this.end(list) ? list + SPILL_HEADER_WORDS : at + CELL_WORDS;
  }

  /** Whether the cell at `at` ends a probe. */
  endsProbe(at: number): boolean {
    return this.words[at + 1] === 0 && this.words[at] !== REMOVED;
  }

  /** Whether one of the list's cells covers the access `word`, with a position above `floor`. */
  knows(list: number, word: number, floor: number): boolean {
    const words = this.words;
    const mask = (1 << (words[list + SIZE] as number)) - 1;
    for (let probe = hash(cellSlot(word)); ; probe++) {
      const at = list + SPILL_HEADER_WORDS + (probe & mask) * CELL_WORDS;
      const old = words[at] as number;
      const position = words[at + 1] as number;
      if (position > floor && ((old ^ word) & (word | SLOT)) === 0) return true;
      if (position === 0 && old !== REMOVED) return false;
    }
  }

  /** Notes that the cell at `at`, which was `word`, has been emptied. */
  removed(list: number, at: number, word: number): void {
    this.words[at] = REMOVED;
    this.words[list + COUNT] = (this.words[list + COUNT] as number) - 1;
    if ((word & WRITE) !== 0) this.words[list + WRITES] = (this.words[list + WRITES] as number) - 1;
  }

  /** Adds a cell to the list of a granule; the list may move. */
  add(window: Window, granule: number, list: number, word: number, position: number): void {
    const size = this.words[list + SIZE] as number;
    // At most three quarters full, so that probes stay short.
    if ((this.words[list + USED] as number) * 4 < 3 << size) {
      this.#put(list, word, position);
      return;
    }
    const grown = (this.words[list + COUNT] as number) * 2 < 1 << size ? size : size + 1;
    const place = this.#alloc(grown, window.segment.index, granule);
    for (let at = this.first(list); at < this.end(list); at += CELL_WORDS) {
      const old = this.words[at + 1] as number;
      if (old !== 0) this.#put(place, this.words[at] as number, old);
    }
    this.#put(place, word, position);
    this.#give(list);
    window.segment.shadow[(granule << this.#granuleShift) + this.#lastCell] = place;
  }

  /** Takes the empty list of a granule back; the granule's last cell is empty again. */
  close(window: Window, granule: number, list: number): void {
    this.#give(list);
    const at = (granule << this.#granuleShift) + this.#lastCell;
    window.segment.shadow[at] = 0;
    window.segment.shadow[at + 1] = 0;
  }

  #put(list: number, word: number, position: number): void {
    let at = this.probe(list, cellSlot(word));
    while (this.words[at + 1] !== 0) at = this.next(list, at);
    if (this.words[at] !== REMOVED) this.words[list + USED] = (this.words[list + USED] as number) + 1;
    this.words[at] = word;
    this.words[at + 1] = position;
    this.words[list + COUNT] = (this.words[list + COUNT] as number) + 1;
    if ((word & WRITE) !== 0) this.words[list + WRITES] = (this.words[list + WRITES] as number) + 1;
  }

  #alloc(size: number, segment: number, granule: number): number {
    const words = SPILL_HEADER_WORDS + (CELL_WORDS << size);
    if (this.#free[size] === -1 && this.#used + words > this.words.length) {
      this.#sweep();
      if (this.#free[size] === -1) this.words = reserve(this.words, this.#used + words);
    }
    let list = this.#free[size] as number;
    if (list !== -1) {
      this.#free[size] = this.words[list + GRANULE] as number;
      this.words.fill(0, list, list + words);
    } else {
      list = this.#used;
      this.#used += words;
    }
    this.words[list + SEGMENT] = segment;
    this.words[list + GRANULE] = granule;
    this.words[list + SIZE] = size;
    this.#live++;
    return list;
  }

  #give(list: number): void {
    const size = this.words[list + SIZE] as number;
    this.words[list + SEGMENT] = FREE;
    this.words[list + GRANULE] = this.#free[size] as number;
    this.#free[size] = list;
    this.#live--;
  }

  /** Takes back every list that its granule no longer points to. */
  #sweep(): void {
    for (let list = 0; list < this.#used; list = this.end(list)) {
      if (this.words[list + SEGMENT] !== FREE && !this.#isPointedTo(list)) this.#give(list);
    }
  }

  #isPointedTo(list: number): boolean {
    const window = this.#windows.at(this.words[list + SEGMENT] as number);
    if (window === undefined) return false;
    const { shadow, shadowPages } = window.segment;
    const at = ((this.words[list + GRANULE] as number) << this.#granuleShift) + this.#lastCell;
    return (
      shadowPages[at >> this.#pageShift] === PAGE_TOUCHED && shadow[at + 1] === SPILLED && shadow[at] === list
    );
  }
}

function hash(slot: number): number {
  const mixed = Math.imul(slot, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function swapCells(cells: Int32Array, a: number, b: number): void {
  const word = cells[a] as number;
  const position = cells[a + 1] as number;
  cells[a] = cells[b] as number;
  cells[a + 1] = cells[b + 1] as number;
  cells[b] = word;
  cells[b + 1] = position;
}
