/**
 * What an access does to the cells of its granule: nothing if one of its epoch covers it.
 *
 * Else every cell is met: it races with the access, or it is kept, or the access takes its place. Byte by byte, it may
 * take the place of an older one in three cases (docs/race-runtime.md has the proofs):
 *
 *  1. Same slot, and the access is at least as strong (a write for a write, plain for plain). Whoever is unordered with
 *     the older access is unordered with the newer, later one of the same slot, and conflicts with it too.
 *  2. Another slot, the older access happens before this one, and this one is at least as strong. Let z come later.
 *     If z is unordered with the older one then z is not after this one either, since that would order it after
 *     the older by transitivity; and being later in the recording it is not before. So z is unordered with this one, and
 *     conflicts with it. (Not in an epoch that FinalizerGoroutine leaked: transitivity fails there.)
 *  3. Same slot, epoch and kind: one cell with the bytes of both. Nothing is released between them, so every clock
 *     orders both or neither.
 *
 * Nothing else is ever dropped, so the racy bytes are exactly those of all pairs of accesses.
 *
 * `| 0` changes no value here. It tells V8 that what comes of a call or as a parameter is an integer, which it would put
 * into a typed array by way of a double.
 */
import { GRANULE_BYTES, type ShadowMemory } from '../shadow/segment.js';
import { BYTES, CELL_WORDS, homeCell, KIND, SLOT, SLOT_SHIFT, SPILLED, WRITE } from './cell.js';
import type { Clocks } from './clock.js';
import { CLOCK, FLOOR, type Goroutines, LEAKED, STACK, STATE_SHIFT } from './goroutine.js';
import type { History } from './history.js';
import type { Leaks } from './leak.js';
import type { Spill } from './spill.js';
import type { Window, Windows } from './window.js';

/** What is told of two accesses that race. Valid during the call alone. */
export interface RaceSighting {
  /** Address of the granule. */
  readonly granule: number;
  /** The later access: word 0 of its cell, its pc and the stack below that. */
  readonly word: number;
  readonly pcLow: number;
  readonly pcHigh: number;
  readonly stack: number;
  /** The earlier access: the two words of its cell. */
  readonly oldWord: number;
  readonly oldPosition: number;
}

export type OnSighting = (sighting: RaceSighting) => void;

/** The parts of the detector that recording an access takes. */
export interface RecordingParts {
  readonly shadow: ShadowMemory;
  readonly windows: Windows;
  readonly goroutines: Goroutines;
  readonly clocks: Clocks;
  readonly history: History;
  readonly leaks: Leaks;
  readonly spill: Spill;
  readonly onSighting: OnSighting;
}

/** No cell, no list, or no position yet. */
export const NONE = -1;

export class Recording {
  readonly #windows: Windows;
  readonly #goroutines: Goroutines;
  readonly #clocks: Clocks;
  readonly #history: History;
  readonly #leaks: Leaks;
  readonly #spill: Spill;
  readonly #onSighting: OnSighting;
  readonly #granuleShift: number;
  readonly #wordsPerGranule: number;
  /** What #meet found: the cell of the same slot, epoch and kind, into which the access belongs; and an empty one. */
  #same = NONE;
  #free = NONE;

  constructor(parts: RecordingParts) {
    this.#windows = parts.windows;
    this.#goroutines = parts.goroutines;
    this.#clocks = parts.clocks;
    this.#history = parts.history;
    this.#leaks = parts.leaks;
    this.#spill = parts.spill;
    this.#onSighting = parts.onSighting;
    this.#wordsPerGranule = parts.shadow.wordsPerGranule;
    this.#granuleShift = Math.log2(parts.shadow.wordsPerGranule);
  }

  /**
   * An access to a granule whose page is touched. Nothing happens if a cell of its epoch covers it.
   * @param word what its cell would be
   * @param position NONE, or the access's position, which it has of another granule already: the granules of a
   * range all of whose bytes it touches are one access with one place in history
   * @returns its position
   */
  access(
    window: Window,
    granule: number,
    word: number,
    slot: number,
    pcLow: number,
    pcHigh: number,
    position: number,
  ): number {
    const cells = window.segment.shadow;
    const floor = this.#goroutines.state[(slot << STATE_SHIFT) + FLOOR] as number;
    const first = granule << this.#granuleShift;
    const end = first + this.#wordsPerGranule;
    let same = NONE;
    let covered = NONE;
    let free = NONE;
    let met = NONE;
    for (let at = first; at < end; at += CELL_WORDS) {
      const old = cells[at + 1] as number;
      if (old === 0) {
        free = at;
        continue;
      }
      const oldWord = cells[at] as number;
      if ((oldWord ^ word) >>> SLOT_SHIFT === 0) {
        if (old > floor) {
          if ((word & ~oldWord) === 0) return position;
          if (((oldWord ^ word) & KIND) === 0) {
            same = at;
            continue;
          }
        } else if ((oldWord & ~word) === 0 && covered === NONE) {
          covered = at;
          continue;
        }
        // A stronger one of this slot stays, and there is nothing more to it.
        if ((oldWord & KIND & ~word) !== 0) continue;
      }
      if ((oldWord & word & BYTES) !== 0 && met === NONE) met = at;
    }
    if (!this.#isMapped(window, granule)) return position;
    if (cells[end - 1] === SPILLED) {
      return this.#accessSpilled(window, granule, word, slot, floor, pcLow, pcHigh, position);
    }
    if (met !== NONE) {
      this.#free = free;
      this.#meet(cells, met, end, NONE, word, slot, floor, window, granule, pcLow, pcHigh);
      free = this.#free;
    }
    if (same !== NONE) {
      if (covered !== NONE) empty(cells, covered);
      return this.#merge(cells, same, word, slot, pcLow, pcHigh, position);
    }
    const own = (position === NONE ? this.#next(slot, word, 0, pcLow, pcHigh) : position) | 0;
    const place = covered === NONE ? free : covered;
    if (place === NONE) {
      this.#addSpilled(window, granule, this.#spill.open(window, granule), word, own);
      return own;
    }
    // What the slot did last is looked for first (Accesses.one): an older cell of its own makes way.
    const home = homeCell(first, slot, this.#wordsPerGranule);
    const moved = cells[home] as number;
    if (place !== home && (cells[home + 1] === 0 || (moved ^ word) >>> SLOT_SHIFT === 0)) {
      cells[place] = moved;
      cells[place + 1] = cells[home + 1] as number;
      cells[home] = word | 0;
      cells[home + 1] = own;
    } else {
      cells[place] = word | 0;
      cells[place + 1] = own;
    }
    return own;
  }

  /**
   * An access to all bytes of each granule from `from` up to `end`, whose pages are touched: as `access` for one after
   * another, with one position. Mostly a granule holds nothing but what this slot did before, and is written over.
   */
  whole(
    window: Window,
    from: number,
    end: number,
    word: number,
    slot: number,
    pcLow: number,
    pcHigh: number,
    position: number,
  ): number {
    const cells = window.segment.shadow;
    const wordsPerGranule = this.#wordsPerGranule;
    const floor = this.#goroutines.state[(slot << STATE_SHIFT) + FLOOR] as number;
    const mapped = from >= window.firstGranule && end <= window.endGranule && !window.holes;
    let own = position;
    for (let granule = from; granule < end; granule++) {
      const home = homeCell(granule << this.#granuleShift, slot, wordsPerGranule);
      const old = cells[home + 1] as number;
      const oldWord = cells[home] as number;
      // Of a granule that has spilled, the last cell's word is no slot's.
      const mine = old !== SPILLED && (oldWord ^ word) >>> SLOT_SHIFT === 0;
      if (mine && old > floor && (word & ~oldWord) === 0) continue;
      if (mapped && own !== NONE && (old === 0 || (mine && old <= floor && (oldWord & ~word) === 0))) {
        let others = 0;
        for (let other = CELL_WORDS; other < wordsPerGranule; other += CELL_WORDS) {
          others |= cells[(home ^ other) + 1] as number;
        }
        if (others === 0) {
          cells[home] = word | 0;
          cells[home + 1] = own;
          continue;
        }
      }
      own = this.access(window, granule, word, slot, pcLow, pcHigh, own) | 0;
    }
    return own;
  }

  /** Whether MapShadow named a byte of the granule. */
  #isMapped(window: Window, granule: number): boolean {
    if (granule >= window.firstGranule && granule < window.endGranule && !window.holes) return true;
    return this.#windows.isMapped(window.base + granule * GRANULE_BYTES);
  }

  /** The rest of `access` when the granule has spilled. */
  #accessSpilled(
    window: Window,
    granule: number,
    word: number,
    slot: number,
    floor: number,
    pcLow: number,
    pcHigh: number,
    position: number,
  ): number {
    const spill = this.#spill;
    const cells = window.segment.shadow;
    const first = granule << this.#granuleShift;
    const last = first + this.#wordsPerGranule - CELL_WORDS;
    const list = cells[last] as number;
    const pool = spill.words;
    this.#same = NONE;
    this.#free = NONE;
    this.#meet(cells, first, last, NONE, word, slot, floor, window, granule, pcLow, pcHigh);
    const same = this.#same;
    const free = this.#free;
    this.#same = NONE;
    if ((word & WRITE) === 0 && !spill.hasWrites(list)) {
      // A read conflicts with no read: its own cells are all that can matter.
      for (let at = spill.probe(list, slot); !spill.endsProbe(at); at = spill.next(list, at)) {
        if (pool[at + 1] === 0 || ((pool[at] as number) ^ word) >>> SLOT_SHIFT !== 0) continue;
        if (((pool[at] as number) & word & ~SLOT) === (word & ~SLOT) && (pool[at + 1] as number) > floor)
          return position;
        this.#meet(pool, at, at + CELL_WORDS, list, word, slot, floor, window, granule, pcLow, pcHigh);
      }
    } else {
      const end = spill.end(list);
      this.#meet(pool, spill.first(list), end, list, word, slot, floor, window, granule, pcLow, pcHigh);
    }
    let own = position;
    if (same !== NONE) {
      own = this.#merge(cells, same, word, slot, pcLow, pcHigh, position);
    } else if (this.#same !== NONE) {
      own = this.#merge(pool, this.#same, word, slot, pcLow, pcHigh, position);
    } else {
      if (own === NONE) own = this.#next(slot, word, 0, pcLow, pcHigh);
      if (free === NONE) {
        this.#addSpilled(window, granule, list, word, own);
        return own;
      }
      cells[free] = word;
      cells[free + 1] = own;
    }
    if (spill.isEmpty(list)) spill.close(window, granule, list);
    return own;
  }

  /** Adds a cell to a granule whose inline cells are in use. Writes stay inline while they can: reads scan lists with writes. */
  #addSpilled(window: Window, granule: number, list: number, word: number, position: number): void {
    const cells = window.segment.shadow;
    const first = granule << this.#granuleShift;
    const inlineEnd = first + this.#wordsPerGranule - CELL_WORDS;
    if ((word & WRITE) !== 0) {
      for (let at = first; at < inlineEnd; at += CELL_WORDS) {
        const old = cells[at] as number;
        if ((old & WRITE) !== 0) continue;
        this.#spill.add(window, granule, list, old, cells[at + 1] as number);
        cells[at] = word;
        cells[at + 1] = position;
        return;
      }
    }
    this.#spill.add(window, granule, list, word, position);
  }

  /**
   * The older accesses in the cells from `from` to `end` meet the access `word`. Leaves in #same and #free what these
   * cells have to offer. `list` is the list that they are in, NONE for a granule's own.
   */
  #meet(
    cells: Int32Array,
    from: number,
    end: number,
    list: number,
    word: number,
    slot: number,
    floor: number,
    window: Window,
    granule: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const state = this.#goroutines.state;
    const own = slot << STATE_SHIFT;
    for (let at = from; at < end; at += CELL_WORDS) {
      const position = cells[at + 1] as number;
      if (position === 0) {
        if (this.#free === NONE) this.#free = at;
        continue;
      }
      const old = cells[at] as number;
      const overlap = old & word & BYTES;
      const differing = old ^ word;
      if ((differing & SLOT) === 0) {
        if (position > floor && (differing & KIND) === 0) {
          this.#same = at;
          continue;
        }
        if (overlap === 0) continue;
      } else {
        if (overlap === 0) continue;
        const oldSlot = old >>> SLOT_SHIFT;
        const known = this.#clocks.get(state[own + CLOCK] as number, oldSlot);
        if (position > known) {
          if (((old | word) & KIND) === KIND && !this.#leaks.orders(oldSlot, position, known)) {
            this.#sight(window, granule, word, slot, old, position, pcLow, pcHigh);
          }
          continue;
        }
        if (state[own + LEAKED] !== 0) continue;
      }
      // The access is ordered after the older one. It takes its place in the bytes they share, unless it is weaker.
      if ((old & KIND & ~word) !== 0) continue;
      const rest = old & ~overlap;
      if ((rest & BYTES) !== 0) {
        cells[at] = rest;
        continue;
      }
      empty(cells, at);
      if (list === NONE) this.#free = at;
      else this.#spill.removed(list, at, old);
    }
  }

  /** Adds the bytes of the access to the cell at `at`, which gets its position: a new one if that is NONE. */
  #merge(
    cells: Int32Array,
    at: number,
    word: number,
    slot: number,
    pcLow: number,
    pcHigh: number,
    position: number,
  ): number {
    // An access with a position already has all bytes of the granule: nothing is left for the older one to tell.
    const own =
      position === NONE ? this.#next(slot, word, cells[at + 1] as number, pcLow, pcHigh) | 0 : position;
    cells[at] = (cells[at] as number) | word;
    cells[at + 1] = own;
    return own;
  }

  /** The next position of the slot, with its history entry. */
  #next(slot: number, word: number, merged: number, pcLow: number, pcHigh: number): number {
    const state = this.#goroutines.state;
    const stack = state[(slot << STATE_SHIFT) + STACK] as number;
    return this.#history.record(state, slot, word, pcLow, pcHigh, stack, merged);
  }

  #sight(
    window: Window,
    granule: number,
    word: number,
    slot: number,
    oldWord: number,
    oldPosition: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    this.#onSighting({
      granule: window.base + granule * GRANULE_BYTES,
      word,
      pcLow,
      pcHigh,
      stack: this.#goroutines.state[(slot << STATE_SHIFT) + STACK] as number,
      oldWord,
      oldPosition,
    });
  }
}

function empty(cells: Int32Array, at: number): void {
  cells[at] = 0;
  cells[at + 1] = 0;
}
