/**
 * The detector: what each call of the race runtime does to cells, clocks and sync objects.
 *
 * Callers pass addresses and pcs as two 32-bit words, as a recording has them, so that the path of an
 * access uses 32-bit integers alone: no bigint, no double, no allocation, no native call.
 *
 * An access is looked up in the cells of its granule. Most are there already, from the same goroutine and epoch: that
 * is four comparisons. Otherwise every cell is met (`#meet`): it races with the access, or it is kept, or the
 * access takes its place.
 *
 * When the access may take the place of an older one, byte by byte (docs/race-runtime.md has the proofs):
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
 */
import { LazyShadowError } from '../native/errors.js';
import {
  GRANULE_BYTES,
  PAGE_MAPPED,
  PAGE_TOUCHED,
  SEGMENT_SHIFT,
  type ShadowMemory,
} from '../shadow/segment.js';
import { Allocations } from './allocations.js';
import { BYTES, byteMask, CELL_WORDS, KIND, PLAIN, SLOT, SLOT_SHIFT, SPILLED, WRITE } from './cell.js';
import { Clocks } from './clock.js';
import {
  CLOCK,
  DEPTH,
  FLOOR,
  type GoroutineInfo,
  Goroutines,
  LEAKED,
  POSITION,
  STACK,
  STATE_SHIFT,
} from './goroutine.js';
import { History } from './history.js';
import { Leaks } from './leak.js';
import { Order } from './order.js';
import { Spill } from './spill.js';
import { EMPTY_STACK, type MarkRoots, Stacks } from './stack.js';
import { SyncObjects } from './sync.js';
import { ADDRESS_LIMIT, type Window, Windows } from './window.js';

/** A plain read. */
export const READ = PLAIN;
/** A plain write. */
export const PLAIN_WRITE = PLAIN | WRITE;
/** An atomic load. */
export const ATOMIC_READ = 0;
/** Any other atomic. */
export const ATOMIC_WRITE = WRITE;

/** What the detector tells of two accesses that race. Valid during the call alone. */
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

export interface DetectorOptions {
  readonly shadow: ShadowMemory;
  /** Entries of each goroutine's history: a power of two. */
  readonly historyEntries: number;
  readonly onSighting: OnSighting;
  /** Marks the stacks that whoever gets the sightings still refers to. */
  readonly markStacks?: MarkRoots;
}

/** What #meet did with a cell. */
const KEPT = 0;
/** The cell is empty now. */
const REPLACED = 1;
/** The cell is of the same slot, epoch and kind: the access belongs into it. */
const SAME = 2;

/** From this size on Malloc leaves clearing to the shadow, which gives large parts back to the system. */
const BULK_CLEAR_BYTES = 64 * 1024;

const SEGMENT_LOW_BITS = 32 - SEGMENT_SHIFT;
const SEGMENT_MASK = 2 ** SEGMENT_SHIFT - 1;

export class Detector {
  readonly goroutines: Goroutines;
  readonly history: History;
  readonly stacks: Stacks;
  readonly windows: Windows;
  readonly clocks = new Clocks();
  readonly spill: Spill;
  readonly objects: SyncObjects;
  readonly allocations = new Allocations();
  readonly #order: Order;
  readonly #leaks = new Leaks();
  readonly #shadow: ShadowMemory;
  readonly #onSighting: OnSighting;
  readonly #granuleShift: number;
  readonly #wordsPerGranule: number;
  /** log2 of the shadow words of a page. */
  readonly #pageShift: number;

  // The window of the last access.
  #index = -1;
  #window: Window;
  #cells: Int32Array = new Int32Array(0);
  #pages: Uint8Array = new Uint8Array(0);

  constructor({ shadow, historyEntries, onSighting, markStacks = () => {} }: DetectorOptions) {
    this.#shadow = shadow;
    this.#onSighting = onSighting;
    this.#wordsPerGranule = shadow.wordsPerGranule;
    this.#granuleShift = Math.log2(shadow.wordsPerGranule);
    this.#pageShift = shadow.pageShift - 2;
    this.goroutines = new Goroutines(this.clocks);
    this.history = new History(historyEntries);
    this.stacks = new Stacks((mark) => {
      this.goroutines.markStacks(mark);
      this.history.markStacks(mark);
      this.allocations.markStacks(mark);
      markStacks(mark);
    });
    this.windows = new Windows(shadow);
    this.spill = new Spill(this.windows, shadow.wordsPerGranule, shadow.pageShift);
    this.objects = new SyncObjects(shadow, this.windows, this.clocks);
    this.#order = new Order(this.clocks, this.goroutines, this.objects, this.history, this.#leaks);
    this.#window = NO_WINDOW;
  }

  // ---- goroutines -------------------------------------------------------------------------------------------

  /** The main goroutine starts. */
  initialize(goroutine: number): void {
    if (this.goroutines.main !== 0) {
      throw new LazyShadowError('ERR_INVALID_USE', 'the race runtime is initialized already');
    }
    this.#order.start(0, goroutine, EMPTY_STACK);
    this.goroutines.main = goroutine;
  }

  goStart(parent: number, goroutine: number, pcLow: number, pcHigh: number): void {
    this.goroutines.checkStart(goroutine);
    const below = parent === 0 ? EMPTY_STACK : this.#stack(this.goroutines.slotOf(parent));
    const hasPc = pcLow !== 0 || pcHigh !== 0;
    this.#order.start(parent, goroutine, hasPc ? this.stacks.push(below, pcLow, pcHigh) : below);
  }

  goEnd(goroutine: number): void {
    this.#order.end(goroutine);
  }

  funcEnter(goroutine: number, pcLow: number, pcHigh: number): void {
    const at = this.goroutines.slotOf(goroutine) << STATE_SHIFT;
    const state = this.goroutines.state;
    state[at + STACK] = this.stacks.push(state[at + STACK] as number, pcLow, pcHigh);
    state[at + DEPTH] = (state[at + DEPTH] as number) + 1;
  }

  funcExit(goroutine: number): void {
    const at = this.goroutines.slotOf(goroutine) << STATE_SHIFT;
    const state = this.goroutines.state;
    const depth = state[at + DEPTH] as number;
    if (depth === 0) throw new LazyShadowError('ERR_INVALID_USE', 'FuncExit without FuncEnter');
    state[at + DEPTH] = depth - 1;
    state[at + STACK] = this.stacks.parent(state[at + STACK] as number);
  }

  /** The goroutine that a slot belongs to now. */
  runningOn(slot: number): GoroutineInfo {
    return this.goroutines.at(slot, this.goroutines.state[(slot << STATE_SHIFT) + POSITION] as number);
  }

  // ---- synchronisation --------------------------------------------------------------------------------------

  acquire(goroutine: number, low: number, high: number): void {
    this.#order.acquire(this.goroutines.slotOf(goroutine), low, high);
  }

  release(goroutine: number, low: number, high: number): void {
    this.#order.releaseStore(this.goroutines.slotOf(goroutine), low, high);
  }

  releaseMerge(goroutine: number, low: number, high: number): void {
    this.#order.releaseMerge(this.goroutines.slotOf(goroutine), low, high);
  }

  releaseAcquire(goroutine: number, low: number, high: number): void {
    this.#order.releaseAcquire(this.goroutines.slotOf(goroutine), low, high);
  }

  finalizerGoroutine(goroutine: number): void {
    this.#order.finalizer(this.goroutines.slotOf(goroutine));
  }

  ignoreSyncBegin(goroutine: number): void {
    this.#order.ignoreBegin(this.goroutines.slotOf(goroutine));
  }

  ignoreSyncEnd(goroutine: number): void {
    this.#order.ignoreEnd(this.goroutines.slotOf(goroutine));
  }

  // ---- atomics: accesses too, in Go's order; nothing at all while synchronisation is ignored ------------------

  atomicLoad(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.#order.ignores(slot)) return;
    this.#order.acquire(slot, low, high);
    this.#called(slot, ATOMIC_READ, low, high, size, pcLow, pcHigh, caller);
  }

  atomicStore(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.#order.ignores(slot)) return;
    this.#called(slot, ATOMIC_WRITE, low, high, size, pcLow, pcHigh, caller);
    this.#order.releaseStore(slot, low, high);
  }

  /** Exchange, add and a compare-and-swap that succeeded. */
  atomicUpdate(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.#order.ignores(slot)) return;
    this.#called(slot, ATOMIC_WRITE, low, high, size, pcLow, pcHigh, caller);
    this.#order.acquireRelease(slot, low, high);
  }

  /** A compare-and-swap that failed: checked as a write, and an acquire. */
  atomicFailedSwap(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.#order.ignores(slot)) return;
    this.#called(slot, ATOMIC_WRITE, low, high, size, pcLow, pcHigh, caller);
    this.#order.acquire(slot, low, high);
  }

  // ---- memory -----------------------------------------------------------------------------------------------

  mapShadow(address: number, sizeBytes: number): void {
    checkRange('MapShadow', address, sizeBytes);
    if (sizeBytes === 0) return;
    this.windows.map(address, sizeBytes);
    this.objects.adopt();
    this.#index = -1;
  }

  /** Forgets [address, address + sizeBytes), whose shadow is about to be unmapped. */
  unmapShadow(address: number, sizeBytes: number): void {
    this.objects.drop(address, sizeBytes);
    this.windows.unmap(address, sizeBytes);
    this.#index = -1;
  }

  /**
   * Earlier accesses to [address, address + sizeBytes) no longer race.
   * @param goroutine who allocates, 0 if that is not known
   */
  malloc(address: number, sizeBytes: number, goroutine = 0): void {
    checkRange('Malloc', address, sizeBytes);
    if (sizeBytes === 0) return;
    const slot = this.goroutines.slots[goroutine] ?? -1;
    if (slot >= 0) this.allocations.add(address, sizeBytes, goroutine, this.#stack(slot));
    else this.allocations.add(address, sizeBytes, 0, EMPTY_STACK);
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
      this.#shadow.clearShadow(firstWhole, endWhole - firstWhole);
    } else if (endWhole > firstWhole) {
      this.#clearWhole(firstWhole, endWhole);
    }
  }

  /** The sync objects of [address, address + sizeBytes) are forgotten. */
  free(address: number, sizeBytes: number): void {
    checkRange('Free', address, sizeBytes);
    this.objects.drop(address, sizeBytes);
  }

  // ---- accesses ---------------------------------------------------------------------------------------------

  /** One byte: `kind` is READ or PLAIN_WRITE. */
  access(goroutine: number, kind: number, low: number, high: number, pcLow: number, pcHigh: number): void {
    const slot = this.goroutines.slots[goroutine] as number;
    if (!(slot >= 0)) this.goroutines.slotOf(goroutine);
    const index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    if (index !== this.#index && !this.#enter(index)) return;
    const granule = (low & SEGMENT_MASK) >>> 3;
    this.#touch(granule, (slot << SLOT_SHIFT) | kind | (1 << (low & 7)), slot, pcLow, pcHigh);
  }

  /** One byte, with the pc of the caller of the function that made the access. */
  accessCalled(
    goroutine: number,
    kind: number,
    low: number,
    high: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    this.#called(this.goroutines.slotOf(goroutine), kind, low, high, 1, pcLow, pcHigh, caller);
  }

  /** The bytes [address, address + sizeBytes). */
  accessRange(
    goroutine: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    checkRange('the access', high * 2 ** 32 + (low >>> 0), sizeBytes);
    this.#range(slot, kind, low, high, sizeBytes, pcLow, pcHigh);
  }

  #range(
    slot: number,
    kind: number,
    low: number,
    high: number,
    sizeBytes: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const word = (slot << SLOT_SHIFT) | kind;
    let index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    let at = low & SEGMENT_MASK;
    let rest = sizeBytes;
    while (rest > 0) {
      const count = Math.min(rest, SEGMENT_MASK + 1 - at);
      if (index === this.#index || this.#enter(index)) {
        const first = at >>> 3;
        const last = (at + count - 1) >>> 3;
        const head = (BYTES << (at & 7)) & BYTES;
        const tail = BYTES >>> (7 - ((at + count - 1) & 7));
        if (first === last) {
          this.#touch(first, word | (head & tail), slot, pcLow, pcHigh);
        } else {
          this.#touch(first, word | head, slot, pcLow, pcHigh);
          for (let granule = first + 1; granule < last; granule++) {
            this.#touch(granule, word | BYTES, slot, pcLow, pcHigh);
          }
          this.#touch(last, word | tail, slot, pcLow, pcHigh);
        }
      }
      rest -= count;
      at = 0;
      index++;
    }
  }

  /** An access of `size` bytes one call deeper than the goroutine's stack says. */
  #called(
    slot: number,
    kind: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const at = slot << STATE_SHIFT;
    const below = this.#stack(slot);
    const callerLow = caller | 0;
    const callerHigh = Math.floor(caller / 2 ** 32);
    if (caller !== 0) this.goroutines.state[at + STACK] = this.stacks.push(below, callerLow, callerHigh);
    try {
      this.#range(slot, kind, low, high, size, pcLow, pcHigh);
    } finally {
      this.goroutines.state[at + STACK] = below;
    }
  }

  /** An access to a granule of the current window. `word` is what its cell would be. */
  #touch(granule: number, word: number, slot: number, pcLow: number, pcHigh: number): void {
    const first = granule << this.#granuleShift;
    if (this.#pages[first >> this.#pageShift] !== PAGE_TOUCHED && !this.#commit(first)) return;
    const cells = this.#cells;
    const floor = this.goroutines.state[(slot << STATE_SHIFT) + FLOOR] as number;
    // A cell of this slot that covers the access differs from it in neither the slot nor any bit that the access has.
    const telling = word | SLOT;
    const end = first + this.#wordsPerGranule;
    for (let at = first; at < end; at += CELL_WORDS) {
      if ((((cells[at] as number) ^ word) & telling) === 0 && (cells[at + 1] as number) > floor) return;
    }
    this.#record(granule, word, slot, floor, pcLow, pcHigh);
  }

  /** An access that no cell of its granule covers. */
  #record(granule: number, word: number, slot: number, floor: number, pcLow: number, pcHigh: number): void {
    const window = this.#window;
    if (granule < window.firstGranule || granule >= window.endGranule || window.holes) {
      if (!this.windows.isMapped(window.base + granule * GRANULE_BYTES)) return;
    }
    const cells = this.#cells;
    const first = granule << this.#granuleShift;
    const end = first + this.#wordsPerGranule;
    const spilled = cells[end - 1] === SPILLED;
    const inlineEnd = spilled ? end - CELL_WORDS : end;
    let free = -1;
    let same = -1;
    for (let at = first; at < inlineEnd; at += CELL_WORDS) {
      if (cells[at + 1] === 0) {
        if (free < 0) free = at;
        continue;
      }
      const outcome = this.#meet(cells, at, word, slot, floor, granule, pcLow, pcHigh);
      if (outcome === REPLACED) free = at;
      else if (outcome === SAME) same = at;
    }
    if (spilled) {
      this.#recordSpilled(
        granule,
        cells[end - CELL_WORDS] as number,
        same,
        free,
        word,
        slot,
        floor,
        pcLow,
        pcHigh,
      );
      return;
    }
    if (same >= 0) {
      this.#put(
        cells,
        same,
        (cells[same] as number) | word,
        slot,
        word,
        cells[same + 1] as number,
        pcLow,
        pcHigh,
      );
    } else if (free >= 0) {
      this.#put(cells, free, word, slot, word, 0, pcLow, pcHigh);
    } else {
      const position = this.#next(slot, word, 0, pcLow, pcHigh);
      this.#addSpilled(granule, this.spill.open(window, granule), word, position);
    }
  }

  /** The rest of #record when the granule has spilled: `same` and `free` are what its inline cells had to offer. */
  #recordSpilled(
    granule: number,
    list: number,
    same: number,
    free: number,
    word: number,
    slot: number,
    floor: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const spill = this.spill;
    const cells = this.#cells;
    const pool = spill.words;
    let inList = -1;
    if ((word & WRITE) === 0 && !spill.hasWrites(list)) {
      // A read conflicts with no read: its own cells are all that can matter.
      for (let at = spill.probe(list, slot); !spill.endsProbe(at); at = spill.next(list, at)) {
        if (pool[at + 1] === 0 || ((pool[at] as number) ^ word) >>> SLOT_SHIFT !== 0) continue;
        if (((pool[at] as number) & word & ~SLOT) === (word & ~SLOT) && (pool[at + 1] as number) > floor)
          return;
        const old = pool[at] as number;
        const outcome = this.#meet(pool, at, word, slot, floor, granule, pcLow, pcHigh);
        if (outcome === REPLACED) spill.removed(list, at, old);
        else if (outcome === SAME) inList = at;
      }
    } else {
      for (let at = spill.first(list), end = spill.end(list); at < end; at += CELL_WORDS) {
        if (pool[at + 1] === 0) continue;
        const old = pool[at] as number;
        const outcome = this.#meet(pool, at, word, slot, floor, granule, pcLow, pcHigh);
        if (outcome === REPLACED) spill.removed(list, at, old);
        else if (outcome === SAME) inList = at;
      }
    }
    if (same >= 0) {
      this.#put(
        cells,
        same,
        (cells[same] as number) | word,
        slot,
        word,
        cells[same + 1] as number,
        pcLow,
        pcHigh,
      );
    } else if (inList >= 0) {
      this.#put(
        pool,
        inList,
        (pool[inList] as number) | word,
        slot,
        word,
        pool[inList + 1] as number,
        pcLow,
        pcHigh,
      );
    } else if (free >= 0) {
      this.#put(cells, free, word, slot, word, 0, pcLow, pcHigh);
    } else {
      this.#addSpilled(granule, list, word, this.#next(slot, word, 0, pcLow, pcHigh));
      return;
    }
    if (spill.isEmpty(list)) spill.close(this.#window, granule, list);
  }

  /** Adds a cell to a granule whose inline cells are in use. Writes stay inline while they can: reads scan lists with writes. */
  #addSpilled(granule: number, list: number, word: number, position: number): void {
    const cells = this.#cells;
    const first = granule << this.#granuleShift;
    const inlineEnd = first + this.#wordsPerGranule - CELL_WORDS;
    if ((word & WRITE) !== 0) {
      for (let at = first; at < inlineEnd; at += CELL_WORDS) {
        const old = cells[at] as number;
        if ((old & WRITE) !== 0) continue;
        this.spill.add(this.#window, granule, list, old, cells[at + 1] as number);
        cells[at] = word;
        cells[at + 1] = position;
        return;
      }
    }
    this.spill.add(this.#window, granule, list, word, position);
  }

  /** An older access, the cell at `at`, meets the access `word`. */
  #meet(
    cells: Int32Array,
    at: number,
    word: number,
    slot: number,
    floor: number,
    granule: number,
    pcLow: number,
    pcHigh: number,
  ): number {
    const old = cells[at] as number;
    const position = cells[at + 1] as number;
    const overlap = old & word & BYTES;
    const differing = old ^ word;
    if ((differing & SLOT) === 0) {
      if (position > floor && (differing & KIND) === 0) return SAME;
      if (overlap === 0) return KEPT;
    } else {
      if (overlap === 0) return KEPT;
      const state = this.goroutines.state;
      const oldSlot = old >>> SLOT_SHIFT;
      const known = this.clocks.get(state[(slot << STATE_SHIFT) + CLOCK] as number, oldSlot);
      if (position > known) {
        if (((old | word) & KIND) === KIND && !this.#leaks.orders(oldSlot, position, known)) {
          this.#sight(granule, word, slot, old, position, pcLow, pcHigh);
        }
        return KEPT;
      }
      if (state[(slot << STATE_SHIFT) + LEAKED] !== 0) return KEPT;
    }
    // The access is ordered after the older one. It takes its place in the bytes they share, unless it is weaker.
    if ((old & KIND & ~word) !== 0) return KEPT;
    const rest = old & ~overlap;
    if ((rest & BYTES) !== 0) {
      cells[at] = rest;
      return KEPT;
    }
    cells[at] = 0;
    cells[at + 1] = 0;
    return REPLACED;
  }

  /** Makes the cell at `at` `cell`, and the access the slot's next position. */
  #put(
    cells: Int32Array,
    at: number,
    cell: number,
    slot: number,
    word: number,
    merged: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    const position = this.#next(slot, word, merged, pcLow, pcHigh);
    cells[at] = cell;
    cells[at + 1] = position;
  }

  /** The next position of the slot, with its history entry. */
  #next(slot: number, word: number, merged: number, pcLow: number, pcHigh: number): number {
    const state = this.goroutines.state;
    const at = slot << STATE_SHIFT;
    const position = (state[at + POSITION] as number) + 1;
    const history = this.history;
    if ((position & (history.masks[slot] as number)) === 0) history.wrap(slot, position);
    state[at + POSITION] = position;
    const entry = (history.starts[slot] as number) + ((position & (history.masks[slot] as number)) << 2);
    const pool = history.pool;
    pool[entry] = pcLow;
    pool[entry + 1] = pcHigh | ((word & BYTES) << 16);
    pool[entry + 2] = state[at + STACK] as number;
    pool[entry + 3] = merged;
    return position;
  }

  #sight(
    granule: number,
    word: number,
    slot: number,
    oldWord: number,
    oldPosition: number,
    pcLow: number,
    pcHigh: number,
  ): void {
    this.#onSighting({
      granule: this.#window.base + granule * GRANULE_BYTES,
      word,
      pcLow,
      pcHigh,
      stack: this.#stack(slot),
      oldWord,
      oldPosition,
    });
  }

  #stack(slot: number): number {
    return this.goroutines.state[(slot << STATE_SHIFT) + STACK] as number;
  }

  /** Makes segment `index` the current window; false if nothing of it is mapped. */
  #enter(index: number): boolean {
    const window = this.windows.at(index);
    if (window === undefined) return false;
    this.#index = index;
    this.#window = window;
    this.#cells = window.segment.shadow;
    this.#pages = window.segment.shadowPages;
    return true;
  }

  /** Makes the page of a shadow word usable; false if it is not mapped. */
  #commit(first: number): boolean {
    if (this.#pages[first >> this.#pageShift] !== PAGE_MAPPED) return false;
    this.#shadow.touchShadow(this.#window.segment, first << 2, this.#wordsPerGranule << 2);
    return this.#pages[first >> this.#pageShift] === PAGE_TOUCHED;
  }

  /** Clears the cells of whole granules, page by page. */
  #clearWhole(start: number, end: number): void {
    for (let address = start; address < end;) {
      const index = Math.floor(address / 2 ** SEGMENT_SHIFT);
      const base = index * 2 ** SEGMENT_SHIFT;
      const stop = Math.min(end, base + SEGMENT_MASK + 1);
      const window = this.windows.at(index);
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
    const window = this.windows.at(index);
    if (window === undefined || mask === 0) return;
    const { shadow, shadowPages } = window.segment;
    const granule = (address - window.base) / GRANULE_BYTES;
    const first = granule << this.#granuleShift;
    if (shadowPages[first >> this.#pageShift] !== PAGE_TOUCHED) return;
    for (let at = first; at < first + this.#wordsPerGranule; at += CELL_WORDS) {
      if (shadow[at + 1] === SPILLED) {
        const list = shadow[at] as number;
        const pool = this.spill.words;
        for (let cell = this.spill.first(list); cell < this.spill.end(list); cell += CELL_WORDS) {
          const old = pool[cell] as number;
          if (pool[cell + 1] !== 0 && clearBytes(pool, cell, mask)) this.spill.removed(list, cell, old);
        }
        if (this.spill.isEmpty(list)) this.spill.close(window, granule, list);
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

/** @throws LazyShadowError ERR_OUT_OF_RANGE if the range leaves the 48-bit address space. */
function checkRange(what: string, address: number, sizeBytes: number): void {
  if (address >= 0 && sizeBytes >= 0 && address + sizeBytes <= ADDRESS_LIMIT) return;
  throw new LazyShadowError('ERR_OUT_OF_RANGE', `${what} leaves the 48-bit address space`, {
    address,
    sizeBytes,
  });
}

const NO_WINDOW: Window = {
  segment: {
    index: -1,
    shadow: new Int32Array(0),
    shadowPages: new Uint8Array(0),
    metainfo: new Int32Array(0),
    metainfoPages: new Uint8Array(0),
  },
  base: 0,
  firstGranule: 0,
  endGranule: 0,
  holes: false,
};
