/**
 * What a detector does differently that begins in the middle of a program, and so knows nothing of what was before:
 * which goroutines run, what sync objects hold, what memory is mapped (uncharted.ts), who accessed what.
 *
 * Whatever it meets of the past is a source (unsettled.ts) and gets a slot: a goroutine that it has not seen start its
 * own, a sync object that it has not seen released one that nobody runs on. A clock that knows a source's slot is ordered
 * after whatever the source was ordered after. So the order among what it sees is exact, and what of the past comes
 * before an access can be asked of the past later.
 *
 * Accesses stay open that one of the past could race with. Not after a Malloc, for which the past is forgotten; and not
 * where a cell of the granule covers the access, is at least as strong, and is ordered before it: what is not ordered before the
 * access is not before that cell either, and conflicts with it too; and of the first such cell, the access is open.
 */
import { LazyShadowError } from '../native/errors.js';
import {
  GRANULE_BYTES,
  GRANULE_SHIFT,
  SEGMENT_LOW_BITS,
  SEGMENT_MASK,
  SEGMENT_SHIFT,
} from '../shadow/segment.js';
import { ByteMarks } from './byte-marks.js';
import { BYTES, CELL_WORDS, KIND, SLOT_SHIFT, SPILLED } from './cell.js';
import type { Clear } from './clearing.js';
import { type Clocks, EMPTY_CLOCK, LEAF_SHIFT } from './clock.js';
import { CLOCK, FLOOR, type Goroutines, IGNORE, POSITION, reserve, STATE_SHIFT } from './goroutine.js';
import type { OnAccess } from './record.js';
import type { Spill } from './spill.js';
import { joinWords } from './stack.js';
import { SYNC_POSITION, SYNC_SHIFT, SYNC_SLOT, type SyncObjects } from './sync.js';
import { NO_SET, OpenAccesses, type Source, SourceSets, type Unsettled } from './unsettled.js';
import type { Window } from './window.js';

/** No clock was looked at. The empty clock is one that was. */
const NO_CLOCK = -1;
const NO_SLOT = -1;

/** Looks at whether a clock knows a source, two or three seconds of them: more sources and clocks are no gain. */
const MOST_LOOKS = 2 ** 28;

export interface MidwayParts {
  readonly wordsPerGranule: number;
  readonly clocks: Clocks;
  readonly goroutines: Goroutines;
  readonly spill: Spill;
  /** Makes a slot for what began before: Order.assume. */
  readonly assume: (goroutine: number) => number;
}

export class Midway {
  readonly #parts: MidwayParts;
  readonly #sources: Source[] = [];
  /** Of each source: its slot, and the first position of that. */
  readonly #slots: number[] = [];
  readonly #positions: number[] = [];
  /** The first source of each leaf of clocks in which sources have their slots: later ones have higher slots. */
  readonly #leaves: number[] = [];
  /** The source that a goroutine is. */
  readonly #sourceOf = new Map<number, number>();
  /** Bytes that a Malloc has emptied, and bytes whose sync objects a Free has dropped. */
  readonly #allocated = new ByteMarks();
  readonly #freed = new ByteMarks();
  readonly #sets = new SourceSets();
  readonly #open = new OpenAccesses();
  /** For each slot the clock whose set was asked for last, which is held so that it stays as it is; and that set. */
  #askedClocks: Int32Array = new Int32Array(0);
  #askedSets: Int32Array = new Int32Array(0);
  /** The slot that was last asked for the first time, with its clock, which is held too, and its set. */
  #last = { slot: NO_SLOT, clock: EMPTY_CLOCK, set: NO_SET };
  #looks = 0;
  #findSeen: SyncObjects['find'] = () => 0;

  constructor(parts: MidwayParts) {
    this.#parts = parts;
  }

  get sources(): readonly Source[] {
    return this.#sources;
  }

  /** A goroutine runs that was started before. */
  assume(goroutine: number): void {
    this.#sourceOf.set(goroutine, this.#sources.length);
    this.#addSource(this.#parts.assume(goroutine), { goroutine, object: 0, owedExits: 0, owedIgnores: 0 });
  }

  /** The source that a goroutine is, undefined if it is none. */
  sourceOf(goroutine: number): number | undefined {
    return this.#sourceOf.get(goroutine);
  }

  /** A goroutine leaves a function. Whether it can have entered it before. */
  owesExit(goroutine: number): boolean {
    return this.#owes(goroutine, (source) => ({ ...source, owedExits: source.owedExits + 1 }));
  }

  /**
   * Whether an IgnoreSyncEnd ends what was begun before. That can be told if it comes before all that the goroutine's
   * order depends on: then it makes no difference that it was ignored till here.
   */
  endsIgnoring(goroutine: number, slot: number): boolean {
    const { state } = this.#parts.goroutines;
    const at = slot << STATE_SHIFT;
    const source = this.#sourceOf.get(goroutine);
    if (source === undefined || state[at + IGNORE] !== 0) return false;
    if (state[at + FLOOR] !== this.#positions[source] || state[at + CLOCK] !== EMPTY_CLOCK) return false;
    return this.#owes(goroutine, (before) => ({ ...before, owedIgnores: before.owedIgnores + 1 }));
  }

  /** @throws LazyShadowError ERR_INVALID_USE: what happens has to do with all that was before */
  refuse(what: string): never {
    throw new LazyShadowError('ERR_INVALID_USE', `${what} needs to be seen with what was before it`);
  }

  /** The bytes of a granule that the past is forgotten of. */
  forgotten(index: number, granule: number): number {
    return this.#allocated.of(index, granule);
  }

  /** The sync object of an address, 0 if none was seen there. */
  findSeen(low: number, high: number): number {
    return this.#findSeen(low, high);
  }

  /** Whether a sync object at an address cannot be of the past: its memory was freed or allocated since. */
  isRenewed(low: number, high: number): boolean {
    const index = (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT);
    const granule = (low & SEGMENT_MASK) >> GRANULE_SHIFT;
    return ((this.#freed.of(index, granule) | this.#allocated.of(index, granule)) & (1 << (low & 7))) !== 0;
  }

  /** Sync objects that hold what they held before, until they are released. */
  wrapObjects(inner: SyncObjects): SyncObjects {
    this.#findSeen = inner.find;
    const find = (low: number, high: number): number => {
      const seen = inner.find(low, high);
      return seen !== 0 || this.isRenewed(low, high) ? seen : this.#objectOfPast(inner, low, high);
    };
    return {
      ...inner,
      find,
      make: (low, high) => {
        const found = find(low, high);
        return found !== 0 ? found : inner.make(low, high);
      },
      drop: (low, high, sizeBytes) => {
        this.#freed.add(low, high, sizeBytes);
        inner.drop(low, high, sizeBytes);
      },
      replaceClocks: (replace) => {
        inner.replaceClocks(replace);
        this.#askedClocks = this.#askedClocks.map((clock) => (clock === NO_CLOCK ? clock : replace(clock)));
        this.#last = { ...this.#last, clock: replace(this.#last.clock) };
      },
    };
  }

  wrapClear(inner: Clear): Clear {
    return (low, high, sizeBytes) => {
      this.#allocated.add(low, high, sizeBytes);
      inner(low, high, sizeBytes);
    };
  }

  /** What keeps the accesses that stay open, told of each before it is recorded. */
  keeper(): OnAccess {
    const { wordsPerGranule, clocks, goroutines, spill } = this.#parts;
    const { state } = goroutines;
    const { words: lists } = spill;
    const allocated = this.#allocated;
    const granuleShift = Math.log2(wordsPerGranule);
    const leaveOpen = (window: Window, granule: number, word: number) =>
      this.#leaveOpen(window, granule, word);

    function keep(window: Window, granule: number, access: number): void {
      // Much of a heap is allocated anew soon, so this is asked first.
      const word = access & ~allocated.of(window.segment.index, granule);
      if ((word & BYTES) === 0) return;
      const cells = window.cells;
      const first = granule << granuleShift;
      const last = first + wordsPerGranule - CELL_WORDS;
      const isSpilled = cells[last + 1] === SPILLED;
      if (standsIn(cells, first, isSpilled ? last : last + CELL_WORDS, word)) return;
      if (isSpilled) {
        const list = cells[last] as number;
        // Its own cell is found without going over those of very many others.
        if (spill.knows(list, word, 0) || standsIn(lists, spill.first(list), spill.end(list), word)) return;
      }
      leaveOpen(window, granule, word);
    }

    /** Whether one of the cells from `from` up to `end` stands in for the access. */
    function standsIn(cells: Int32Array, from: number, end: number, word: number): boolean {
      const slot = word >>> SLOT_SHIFT;
      const clock = state[(slot << STATE_SHIFT) + CLOCK] as number;
      for (let at = from; at < end; at += CELL_WORDS) {
        const position = cells[at + 1] as number;
        const old = cells[at] as number;
        if (position === 0 || (word & ~old & (KIND | BYTES)) !== 0) continue;
        if (old >>> SLOT_SHIFT === slot || clocks.get(clock, old >>> SLOT_SHIFT) >= position) return true;
      }
      return false;
    }

    return keep;
  }

  /** The sources of whose slot and first position something holds. */
  sourcesWhere(holds: (slot: number, position: number) => boolean): number[] {
    this.#look(this.#slots.length);
    const found: number[] = [];
    for (let source = 0; source < this.#slots.length; source++) {
      if (holds(this.#slots[source] as number, this.#positions[source] as number)) found.push(source);
    }
    return found;
  }

  /** All that is left open. */
  unsettled(): Unsettled {
    const started: number[] = [];
    for (const goroutine of this.#parts.goroutines.everKnown()) {
      if (!this.#sourceOf.has(goroutine)) started.push(goroutine);
    }
    return {
      sources: this.#sources,
      ...this.#sets.done(),
      ...this.#open.done(),
      started: Int32Array.from(started),
    };
  }

  #owes(goroutine: number, more: (source: Source) => Source): boolean {
    const source = this.#sourceOf.get(goroutine);
    if (source === undefined) return false;
    this.#sources[source] = more(this.#sources[source] as Source);
    return true;
  }

  /** Notes that clocks are asked of so many sources. */
  #look(sources: number): void {
    this.#looks += sources;
    if (this.#looks > MOST_LOOKS) this.refuse('a program with so many sync objects');
  }

  #addSource(slot: number, source: Source): void {
    const { state } = this.#parts.goroutines;
    const last = this.#slots.at(-1);
    if (last === undefined || !inOneLeaf(last, slot)) this.#leaves.push(this.#slots.length);
    this.#slots.push(slot);
    this.#positions.push(state[(slot << STATE_SHIFT) + POSITION] as number);
    this.#sources.push(source);
  }

  /** Makes the sync object of an address, with what it held before. */
  #objectOfPast(inner: SyncObjects, low: number, high: number): number {
    const slot = this.#parts.assume(0);
    const object = inner.make(low, high);
    inner.words[(object << SYNC_SHIFT) + SYNC_SLOT] = slot;
    inner.words[(object << SYNC_SHIFT) + SYNC_POSITION] = this.#parts.goroutines.turnStart(slot);
    this.#addSource(slot, { goroutine: 0, object: joinWords(low, high), owedExits: 0, owedIgnores: 0 });
    return object;
  }

  /** @param word without the bytes whose past is forgotten */
  #leaveOpen(window: Window, granule: number, word: number): void {
    this.#open.add(
      window.base / GRANULE_BYTES + granule,
      word & (KIND | BYTES),
      this.#setOf(word >>> SLOT_SHIFT),
    );
  }

  /** The sources that the goroutine on a slot knows. */
  #setOf(slot: number): number {
    const { clocks, goroutines } = this.#parts;
    const clock = goroutines.state[(slot << STATE_SHIFT) + CLOCK] as number;
    if (slot >= this.#askedClocks.length) {
      const length = this.#askedClocks.length;
      this.#askedClocks = reserve(this.#askedClocks, slot + 1).fill(NO_CLOCK, length);
      this.#askedSets = reserve(this.#askedSets, slot + 1).fill(NO_SET, length);
    }
    const asked = this.#askedClocks[slot] as number;
    if (asked === clock) return this.#askedSets[slot] as number;
    const set = asked === NO_CLOCK ? this.#firstSetOf(slot, clock) : this.#grownSetOf(slot, clock, asked);
    this.#askedClocks[slot] = clocks.retain(clock);
    this.#askedSets[slot] = set;
    return set;
  }

  /** The set of a slot that was asked for when its clock was `asked`, which is let go. */
  #grownSetOf(slot: number, clock: number, asked: number): number {
    const added = this.#learnt(slot, clock, slot, asked);
    // Nobody forgets. If one seemed to, what it knew could not be a part of what it knows.
    if (added === undefined) this.refuse('a goroutine that forgets');
    this.#parts.clocks.release(asked);
    return this.#sets.add(this.#askedSets[slot] as number, added);
  }

  /** The set of a slot that was not asked for before: with few of its own if it knows all that the last such one did. */
  #firstSetOf(slot: number, clock: number): number {
    const { clocks } = this.#parts;
    const last = this.#last;
    const more = this.#learnt(slot, clock, last.slot, last.clock);
    const set =
      more !== undefined
        ? this.#sets.add(last.set, more)
        : this.#sets.add(
            NO_SET,
            this.sourcesWhere((of, position) => this.#knows(slot, clock, of, position)),
          );
    clocks.release(last.clock);
    this.#last = { slot, clock: clocks.retain(clock), set };
    return set;
  }

  /** The sources that one slot knows with a clock and another does not with its own; undefined if that knows one more. */
  #learnt(slot: number, clock: number, other: number, otherClock: number): number[] | undefined {
    const { clocks } = this.#parts;
    const learnt: number[] = [];
    this.#look(this.#leaves.length);
    for (let leaf = 0; leaf < this.#leaves.length; leaf++) {
      const first = this.#leaves[leaf] as number;
      const end = this.#leaves[leaf + 1] ?? this.#slots.length;
      const near = this.#slots[first] as number;
      // Of its own slot nobody's clock says anything.
      const isOwn = slot !== other && (inOneLeaf(slot, near) || inOneLeaf(other, near));
      if (!isOwn && clocks.leaf(clock, near) === clocks.leaf(otherClock, near)) continue;
      this.#look(end - first);
      for (let source = first; source < end; source++) {
        const of = this.#slots[source] as number;
        const position = this.#positions[source] as number;
        const knew = this.#knows(other, otherClock, of, position);
        const knows = this.#knows(slot, clock, of, position);
        if (knew && !knows) return undefined;
        if (knows && !knew) learnt.push(source);
      }
    }
    return learnt;
  }

  /** Whether a slot with that clock knows the source whose slot is `of`, with its first position. */
  #knows(slot: number, clock: number, of: number, position: number): boolean {
    return of === slot || this.#parts.clocks.get(clock, of) >= position;
  }
}

/** Whether clocks have the components of two slots in one node. */
function inOneLeaf(slot: number, other: number): boolean {
  return slot >> LEAF_SHIFT === other >> LEAF_SHIFT;
}
