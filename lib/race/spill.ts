/**
 * Spill: the cells of a granule that needs more of them than fit its shadow.
 *
 * The granule's last cell then holds the place of a list in this pool instead of an access:
 *
 *     shadow   | cell | cell | cell | list, SPILLED |
 *                                       │
 *     pool     | segment | granule | log2 capacity | count | writes | used | cell | cell | cell | …
 *
 * A list has two cells at least: when all but one are gone, that one is the granule's last cell again.
 * It is a hash table of cells by slot (linear probing), because its usual reason is data that very many
 * goroutines read: a read looks only at its own slot's cells, however long the list, as long as no write is in it.
 * Nothing tells the pool when Malloc clears the shadow under a list. Before it holds twice as much as the last time it therefore
 * looks which lists their granules still point to, and takes back the others.
 */
import type { TableSpace } from '../native/table.js';
import { PAGE_TOUCHED, type ShadowGeometry } from '../shadow/segment.js';
import { CELL_WORDS, cellSlot, SLOT, SPILLED, WRITE } from './cell.js';
import type { Window, Windows } from './window.js';

const SEGMENT = 0;
const GRANULE = 1;
const SIZE = 2;
const COUNT = 3;
const WRITES = 4;
/** Cells that are not empty: those in use and those removed. */
const USED = 5;
/** Words before the cells; a multiple of CELL_WORDS. */
const HEADER_WORDS = 6;

/** log2 of the cells of a new list. */
const FIRST_SIZE = 2;

/** What of a detector's tables is lists: 512 MiB. */
const LIST_PART = 1 / 8;

/** SEGMENT of a list that was given back. */
const FREE = -1;

/** Word 0 of a cell that was removed: probing goes on past it. Word 1 is 0 as in an empty cell. */
const REMOVED = 1;

/** No list of a size was given back. */
const NO_LIST = -1;

/** Words of lists before which nothing is looked for that could be taken back. */
const FIRST_LIMIT = 1 << 12;

export interface Spill {
  /** The lists, one after another. A place is the index of a list's header. */
  readonly words: Int32Array;
  /** Lists that were made and not given back; some may have lost their granule since. */
  liveLists(): number;
  /** Index of the list's first cell. */
  first(list: number): number;
  /** Index past the list's last cell. */
  end(list: number): number;
  hasWrites(list: number): boolean;
  /** Cells that the list holds. */
  count(list: number): number;
  /** Index of the first cell to probe for `slot`. */
  probe(list: number, slot: number): number;
  /** Index of the cell to probe after the one at `at`. */
  next(list: number, at: number): number;
  /** Whether the cell at `at` ends a probe. */
  endsProbe(at: number): boolean;
  /** Whether one of the list's cells covers the access `word`, with a position above `floor`. */
  knows(list: number, word: number, floor: number): boolean;
  /**
   * Spills a granule whose cells are all in use: one of them, a read if there is one, moves to a new list.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY; nothing is changed then
   */
  open(window: Window, granule: number): number;
  /**
   * Adds a cell to the list of a granule; the list may move.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY; nothing is changed then
   */
  add(window: Window, granule: number, list: number, word: number, position: number): void;
  /** Notes that the cell at `at`, which was `word`, has been emptied. */
  removed(list: number, at: number, word: number): void;
  /** Takes the list of a granule back, of which one cell is left, or none: the granule's last cell is that one, or empty. */
  close(window: Window, granule: number, list: number): void;
  /** There are no lists any more. */
  reset(): void;
}

export function createSpill(
  space: TableSpace,
  windows: Windows,
  { wordsPerGranule, pageShift }: ShadowGeometry,
): Spill {
  const memory = space.table('granules with more cells than fit', LIST_PART);
  const { words } = memory;
  const granuleShift = Math.log2(wordsPerGranule);
  /** Where the last cell of a granule is among its words. */
  const lastCell = wordsPerGranule - CELL_WORDS;
  /** log2 of the shadow words of a page. */
  const pageWordShift = pageShift - 2;
  /** Lists that were given back, by SIZE: the first of each, linked through GRANULE. */
  const free = new Int32Array(32);
  let used = 0;
  /** Words used from which on lists are looked through before there are more. */
  let limit = FIRST_LIMIT;
  let live = 0;
  free.fill(NO_LIST);

  function reset(): void {
    memory.reset();
    free.fill(NO_LIST);
    used = 0;
    limit = FIRST_LIMIT;
    live = 0;
  }

  function first(list: number): number {
    return list + HEADER_WORDS;
  }

  function end(list: number): number {
    return list + HEADER_WORDS + (CELL_WORDS << (words[list + SIZE] as number));
  }

  function hasWrites(list: number): boolean {
    return (words[list + WRITES] as number) > 0;
  }

  function count(list: number): number {
    return words[list + COUNT] as number;
  }

  function probe(list: number, slot: number): number {
    const mask = (1 << (words[list + SIZE] as number)) - 1;
    return list + HEADER_WORDS + (hash(slot) & mask) * CELL_WORDS;
  }

  function next(list: number, at: number): number {
    return at + CELL_WORDS === end(list) ? list + HEADER_WORDS : at + CELL_WORDS;
  }

  function endsProbe(at: number): boolean {
    return words[at + 1] === 0 && words[at] !== REMOVED;
  }

  function knows(list: number, word: number, floor: number): boolean {
    // Its own constant: only so does V8 build the table's place into the loop (docs/performance.md).
    const cells = words;
    const mask = (1 << (cells[list + SIZE] as number)) - 1;
    for (let probe = hash(cellSlot(word)); ; probe++) {
      const at = list + HEADER_WORDS + (probe & mask) * CELL_WORDS;
      const old = cells[at] as number;
      const position = cells[at + 1] as number;
      if (position > floor && ((old ^ word) & (word | SLOT)) === 0) return true;
      if (position === 0 && old !== REMOVED) return false;
    }
  }

  function open(window: Window, granule: number): number {
    const list = alloc(FIRST_SIZE, window.segment.index, granule);
    const { shadow } = window.segment;
    const start = granule << granuleShift;
    const at = start + lastCell;
    for (let other = start; other < at && ((shadow[at] as number) & WRITE) !== 0; other += CELL_WORDS) {
      if (((shadow[other] as number) & WRITE) === 0) swapCells(shadow, other, at);
    }
    put(list, shadow[at] as number, shadow[at + 1] as number);
    shadow[at] = list;
    shadow[at + 1] = SPILLED;
    return list;
  }

  function add(window: Window, granule: number, list: number, word: number, position: number): void {
    const size = words[list + SIZE] as number;
    // At most three quarters full, so that probes stay short.
    if ((words[list + USED] as number) * 4 < 3 << size) {
      put(list, word, position);
      return;
    }
    const grown = (words[list + COUNT] as number) * 2 < 1 << size ? size : size + 1;
    const place = alloc(grown, window.segment.index, granule);
    for (let at = first(list), stop = end(list); at < stop; at += CELL_WORDS) {
      const old = words[at + 1] as number;
      if (old !== 0) put(place, words[at] as number, old);
    }
    put(place, word, position);
    give(list);
    window.segment.shadow[(granule << granuleShift) + lastCell] = place;
  }

  function removed(list: number, at: number, word: number): void {
    words[at] = REMOVED;
    words[list + COUNT] = (words[list + COUNT] as number) - 1;
    if ((word & WRITE) !== 0) words[list + WRITES] = (words[list + WRITES] as number) - 1;
  }

  function close(window: Window, granule: number, list: number): void {
    const { shadow } = window.segment;
    const last = (granule << granuleShift) + lastCell;
    shadow[last] = 0;
    shadow[last + 1] = 0;
    if (words[list + COUNT] !== 0) {
      let at = first(list);
      while (words[at + 1] === 0) at += CELL_WORDS;
      shadow[last] = words[at] as number;
      shadow[last + 1] = words[at + 1] as number;
    }
    give(list);
  }

  function put(list: number, word: number, position: number): void {
    let at = probe(list, cellSlot(word));
    while (words[at + 1] !== 0) at = next(list, at);
    if (words[at] !== REMOVED) words[list + USED] = (words[list + USED] as number) + 1;
    words[at] = word | 0;
    words[at + 1] = position | 0;
    words[list + COUNT] = (words[list + COUNT] as number) + 1;
    if ((word & WRITE) !== 0) words[list + WRITES] = (words[list + WRITES] as number) + 1;
  }

  function alloc(size: number, segment: number, granule: number): number {
    const length = HEADER_WORDS + (CELL_WORDS << size);
    if (free[size] === NO_LIST && used + length > limit) {
      sweep();
      limit = Math.min(words.length, Math.max(limit, 2 * used));
    }
    let list = free[size] as number;
    if (list !== NO_LIST) {
      free[size] = words[list + GRANULE] as number;
      for (let at = list; at < list + length; at++) words[at] = 0;
    } else {
      memory.reserve(used + length);
      list = used;
      used += length;
    }
    words[list + SEGMENT] = segment;
    words[list + GRANULE] = granule;
    words[list + SIZE] = size;
    live++;
    return list;
  }

  function give(list: number): void {
    const size = words[list + SIZE] as number;
    words[list + SEGMENT] = FREE;
    words[list + GRANULE] = free[size] as number;
    free[size] = list;
    live--;
  }

  /** Takes back every list that its granule no longer points to. */
  function sweep(): void {
    for (let list = 0; list < used; list = end(list)) {
      if (words[list + SEGMENT] !== FREE && !isPointedTo(list)) give(list);
    }
  }

  function isPointedTo(list: number): boolean {
    const window = windows.at(words[list + SEGMENT] as number);
    if (window === undefined) return false;
    const { shadow, shadowPages } = window.segment;
    const at = ((words[list + GRANULE] as number) << granuleShift) + lastCell;
    return (
      shadowPages[at >> pageWordShift] === PAGE_TOUCHED && shadow[at + 1] === SPILLED && shadow[at] === list
    );
  }

  return {
    words,
    liveLists: () => live,
    first,
    end,
    hasWrites,
    count,
    probe,
    next,
    endsProbe,
    knows,
    open,
    add,
    removed,
    close,
    reset,
  };
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
