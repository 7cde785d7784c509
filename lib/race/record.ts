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
import { GRANULE_BYTES, GRANULE_SHIFT, SEGMENT_SHIFT } from '../shadow/segment.js';
import { BYTES, CELL_WORDS, homeCell, KIND, SLOT, SLOT_SHIFT, SPILLED, WRITE } from './cell.js';
import type { Clocks } from './clock.js';
import { CLOCK, FLOOR, LEAKED, STACK, STATE_SHIFT } from './goroutine.js';
import { type History, PC_HIGH, PC_LOW } from './history.js';
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

/** What is to see an access to a granule before its cells are changed. `word` is what its cell would be. */
export type OnAccess = (window: Window, granule: number, word: number) => void;

/** The parts of the detector that recording an access takes. */
export interface RecordingParts {
  readonly wordsPerGranule: number;
  readonly windows: Windows;
  /** The slots' state (goroutine.ts). */
  readonly state: Int32Array;
  /** The pc of the access at hand (history.ts). */
  readonly atHand: Int32Array;
  readonly clocks: Clocks;
  readonly history: History;
  readonly leaks: Leaks;
  readonly spill: Spill;
  readonly onSighting: OnSighting;
  /** Sees each access that no cell of its epoch covers; undefined if nobody does. */
  readonly onAccess: OnAccess | undefined;
}

/** No cell, no list, or no position yet. */
export const NONE = -1;

export interface Recording {
  /**
   * An access to a granule whose page is touched. Nothing happens if a cell of its epoch covers it.
   * @param word what its cell would be
   * @param position NONE, or the access's position, which it has of another granule already: the granules of a
   * range all of whose bytes it touches are one access with one place in history
   * @returns its position
   */
  access(window: Window, granule: number, word: number, position: number): number;
  /**
   * An access to all bytes of each granule from `from` up to `end`, whose pages are touched: as `access` for one after
   * another, with one position. Mostly a granule holds nothing but what this slot did before, and is written over.
   */
  whole(window: Window, from: number, end: number, word: number, position: number): number;
}

export function createRecording(parts: RecordingParts): Recording {
  const { windows, state, atHand, clocks, history, leaks, spill, onSighting, onAccess, wordsPerGranule } =
    parts;
  const { record, merge } = history;
  const { words: lists } = spill;
  const granuleShift = Math.log2(wordsPerGranule);
  /** What `meet` found: the cell of the same slot, epoch and kind, into which the access belongs; and an empty one. */
  let metSame = NONE;
  let metFree = NONE;

  function access(window: Window, granule: number, word: number, position: number): number {
    const cells = window.cells;
    const slot = word >>> SLOT_SHIFT;
    const floor = state[(slot << STATE_SHIFT) + FLOOR] as number;
    const first = granule << granuleShift;
    const end = first + wordsPerGranule;
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
    if (!isMapped(window, granule)) return position;
    if (onAccess !== undefined) onAccess(window, granule, word);
    if (cells[end - 1] === SPILLED) {
      return accessSpilled(window, granule, word, floor, position);
    }
    if (met !== NONE) {
      metFree = free;
      meet(cells, met, end, NONE, word, floor, window, granule);
      free = metFree | 0;
    }
    if (same !== NONE) {
      if (covered !== NONE) empty(cells, covered);
      return join(window, granule, cells, same, word, position);
    }
    const own = (position === NONE ? next(word) : position) | 0;
    const place = covered === NONE ? free : covered;
    if (place === NONE) {
      addSpilled(window, granule, spill.open(window, granule), word, own);
      return own;
    }
    // What the slot did last is looked for first (Accesses.one): an older cell of its own makes way.
    const home = homeCell(first, slot, wordsPerGranule);
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

  function whole(window: Window, from: number, end: number, word: number, position: number): number {
    const cells = window.cells;
    const slot = word >>> SLOT_SHIFT;
    const floor = state[(slot << STATE_SHIFT) + FLOOR] as number;
    const mapped = from >= window.firstGranule && end <= window.endGranule && !window.holes;
    let own = position;
    for (let granule = from; granule < end; granule++) {
      const home = homeCell(granule << granuleShift, slot, wordsPerGranule);
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
          if (onAccess !== undefined) onAccess(window, granule, word);
          cells[home] = word | 0;
          cells[home + 1] = own;
          continue;
        }
      }
      // That another cell covers it `access` would find too, at the cost of a call.
      let known = false;
      for (let other = CELL_WORDS; other < wordsPerGranule; other += CELL_WORDS) {
        const at = home ^ other;
        known ||= (((cells[at] as number) ^ word) & (word | SLOT)) === 0 && (cells[at + 1] as number) > floor;
      }
      if (known) continue;
      own = access(window, granule, word, own) | 0;
    }
    return own;
  }

  /** Whether MapShadow named a byte of the granule. */
  function isMapped(window: Window, granule: number): boolean {
    if (granule >= window.firstGranule && granule < window.endGranule && !window.holes) return true;
    return windows.isMapped(window.base + granule * GRANULE_BYTES);
  }

  /** The rest of `access` when the granule has spilled. */
  function accessSpilled(
    window: Window,
    granule: number,
    word: number,
    floor: number,
    position: number,
  ): number {
    const cells = window.cells;
    const first = granule << granuleShift;
    const last = first + wordsPerGranule - CELL_WORDS;
    const list = cells[last] as number;
    if (spill.knows(list, word, floor)) return position;
    metSame = NONE;
    metFree = NONE;
    meet(cells, first, last, NONE, word, floor, window, granule);
    const same = metSame;
    const free = metFree;
    metSame = NONE;
    if ((word & WRITE) === 0 && !spill.hasWrites(list)) {
      // A read conflicts with no read: its own cells are all that can matter.
      for (let at = spill.probe(list, word >>> SLOT_SHIFT); !spill.endsProbe(at); at = spill.next(list, at)) {
        if (lists[at + 1] === 0 || ((lists[at] as number) ^ word) >>> SLOT_SHIFT !== 0) continue;
        meet(lists, at, at + CELL_WORDS, list, word, floor, window, granule);
      }
    } else {
      const end = spill.end(list);
      meet(lists, spill.first(list), end, list, word, floor, window, granule);
    }
    let own = position;
    if (same !== NONE) {
      own = join(window, granule, cells, same, word, position);
    } else if (metSame !== NONE) {
      own = join(window, granule, lists, metSame, word, position);
    } else {
      if (own === NONE) own = next(word) | 0;
      if (free === NONE) {
        if (spill.count(list) > 0) {
          addSpilled(window, granule, list, word, own);
        } else {
          spill.close(window, granule, list);
          cells[last] = word | 0;
          cells[last + 1] = own;
        }
        return own;
      }
      cells[free] = word | 0;
      cells[free + 1] = own;
    }
    if (spill.count(list) < 2) spill.close(window, granule, list);
    return own;
  }

  /** Adds a cell to a granule whose inline cells are in use. Writes stay inline while they can: reads scan lists with writes. */
  function addSpilled(window: Window, granule: number, list: number, word: number, position: number): void {
    const cells = window.cells;
    const first = granule << granuleShift;
    const inlineEnd = first + wordsPerGranule - CELL_WORDS;
    if ((word & WRITE) !== 0) {
      for (let at = first; at < inlineEnd; at += CELL_WORDS) {
        const old = cells[at] as number;
        if ((old & WRITE) !== 0) continue;
        spill.add(window, granule, list, old, cells[at + 1] as number);
        cells[at] = word | 0;
        cells[at + 1] = position | 0;
        return;
      }
    }
    spill.add(window, granule, list, word, position);
  }

  /**
   * The older accesses in the cells from `from` to `end` meet the access `word`. Leaves in metSame and metFree what these
   * cells have to offer. `list` is the list that they are in, NONE for a granule's own.
   */
  function meet(
    cells: Int32Array,
    from: number,
    end: number,
    list: number,
    word: number,
    floor: number,
    window: Window,
    granule: number,
  ): void {
    const own = (word >>> SLOT_SHIFT) << STATE_SHIFT;
    for (let at = from; at < end; at += CELL_WORDS) {
      const position = cells[at + 1] as number;
      if (position === 0) {
        if (metFree === NONE) metFree = at;
        continue;
      }
      const old = cells[at] as number;
      const overlap = old & word & BYTES;
      const differing = old ^ word;
      if ((differing & SLOT) === 0) {
        if (position > floor && (differing & KIND) === 0) {
          metSame = at;
          continue;
        }
        if (overlap === 0) continue;
      } else {
        if (overlap === 0) continue;
        const oldSlot = old >>> SLOT_SHIFT;
        const known = clocks.get(state[own + CLOCK] as number, oldSlot);
        if (position > known) {
          if (((old | word) & KIND) === KIND && !leaks.orders(oldSlot, position, known)) {
            sight(window, granule, word, old, position);
          }
          continue;
        }
        if (floor === LEAKED) continue;
      }
      // The access is ordered after the older one. It takes its place in the bytes they share, unless it is weaker.
      if ((old & KIND & ~word) !== 0) continue;
      const rest = old & ~overlap;
      if ((rest & BYTES) !== 0) {
        cells[at] = rest;
        continue;
      }
      empty(cells, at);
      if (list === NONE) metFree = at;
      else spill.removed(list, at, old);
    }
  }

  /** Adds the bytes of the access to the granule's cell at `at`, which gets its position: a new one if that is NONE. */
  function join(
    window: Window,
    granule: number,
    cells: Int32Array,
    at: number,
    word: number,
    position: number,
  ): number {
    let own = position | 0;
    // An access with a position already has all bytes of the granule: nothing is left for the older one to tell.
    if (position === NONE) {
      const slot = word >>> SLOT_SHIFT;
      const number = (window.segment.index << (SEGMENT_SHIFT - GRANULE_SHIFT)) | granule;
      own = merge(slot, word, stackOf(slot), cells[at + 1] as number, number) | 0;
    }
    cells[at] = (cells[at] as number) | word;
    cells[at + 1] = own;
    return own;
  }

  /** The next position of the slot, with its history entry. */
  function next(word: number): number {
    const slot = word >>> SLOT_SHIFT;
    return record(slot, word, stackOf(slot));
  }

  function stackOf(slot: number): number {
    return state[(slot << STATE_SHIFT) + STACK] as number;
  }

  function sight(window: Window, granule: number, word: number, oldWord: number, oldPosition: number): void {
    onSighting({
      granule: window.base + granule * GRANULE_BYTES,
      word,
      pcLow: atHand[PC_LOW] as number,
      pcHigh: atHand[PC_HIGH] as number,
      stack: stackOf(word >>> SLOT_SHIFT),
      oldWord,
      oldPosition,
    });
  }

  return { access, whole };
}

function empty(cells: Int32Array, at: number): void {
  cells[at] = 0;
  cells[at + 1] = 0;
}
