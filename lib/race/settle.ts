/**
 * What a detector that began midway left open (unsettled.ts), held against the detector of the events before it.
 *
 * What that one does not know either, because it began midway itself, is left open again, for the one before.
 */
import { GRANULE_BYTES, PAGE_TOUCHED, SEGMENT_BYTES } from '../shadow/segment.js';
import { BYTES, CELL_WORDS, conflict, SLOT_SHIFT, SPILLED, WRITE } from './cell.js';
import { EMPTY_CLOCK } from './clock.js';
import type { Detector } from './detector.js';
import { CLOCK, IGNORE, POSITION, STACK, STATE_SHIFT } from './goroutine.js';
import { MERGED, SYNC_CLOCK, SYNC_POSITION, SYNC_SHIFT, SYNC_SLOT } from './sync.js';
import { NO_SET, OpenAccesses, type Source, SourceSets, type Unsettled } from './unsettled.js';

/** The clock of what a source was ordered after, which is held; or PAST if that has to be asked of the detector before. */
type KnownClock = number;
const PAST = -1;

/** Instead of a clock, or of the bytes of an access: there is a race, or something is not as it was taken to be. */
const WRONG = -2;

/**
 * Settles what was left open after the last event of `earlier`.
 * @returns what is left open still, of the time before `earlier`; undefined if there is a race, or something is not
 * as it was taken to be
 * @throws LazyShadowError ERR_OUT_OF_MEMORY; ERR_INVALID_USE: it would take too long
 */
export function settle(earlier: Detector, later: Unsettled): Unsettled | undefined {
  const { clocks, goroutines } = earlier;
  if (later.started.some((goroutine) => goroutines.isKnown(goroutine))) return undefined;
  const sources = [...(earlier.midway?.sources ?? [])];
  const known = later.sources.map((source) =>
    source.goroutine === 0 ? clockOfObject(earlier, source) : clockOfGoroutine(earlier, source, sources),
  );
  if (known.includes(WRONG)) return undefined;

  /** Of each source that is left open: its number among all that are. */
  const left = known.map((clock, at) =>
    clock === PAST ? sources.push(later.sources[at] as Source) - 1 : PAST,
  );
  const { sets, numbers, setClocks } = settleSets(earlier, later, known, left);
  const open = new OpenAccesses();
  for (let access = 0; access < later.words.length; access++) {
    const granule = later.granules[access] as number;
    const set = later.sets[access] as number;
    const rest = settleAccess(earlier, granule, later.words[access] as number, setClocks[set] as number);
    if (rest === WRONG) return undefined;
    if ((rest & BYTES) !== 0) open.add(granule, rest, numbers[set] as number);
  }
  for (const clock of [...known, ...setClocks]) if (clock !== PAST) clocks.release(clock);
  return { sources, ...sets.done(), ...open.done(), started: later.started };
}

/**
 * What a goroutine knows that has to run at the end of `earlier`.
 * @param sources of `earlier`; what the goroutine owes them is added to them
 */
function clockOfGoroutine(earlier: Detector, source: Source, sources: Source[]): KnownClock {
  const { clocks, goroutines, midway, stacks } = earlier;
  const { goroutine, owedExits, owedIgnores } = source;
  const { state } = goroutines;
  const slot = goroutines.find(goroutine);
  if (slot < 0) return midway === undefined || goroutines.isKnown(goroutine) ? WRONG : PAST;
  const at = slot << STATE_SHIFT;
  if (state[at + IGNORE] !== owedIgnores) return WRONG;
  const missing = owedExits - stacks.depth(state[at + STACK] as number);
  if (missing > 0) {
    const own = midway?.sourceOf(goroutine);
    if (own === undefined) return WRONG;
    const debtor = sources[own] as Source;
    sources[own] = { ...debtor, owedExits: debtor.owedExits + missing };
  }
  const clock = clocks.retain(state[at + CLOCK] as number);
  return clocks.set(clock, slot, state[at + POSITION] as number);
}

/** What a sync object holds at the end of `earlier`. */
function clockOfObject({ clocks, objects, midway }: Detector, source: Source): KnownClock {
  const low = source.object | 0;
  const high = Math.floor(source.object / 2 ** 32);
  const object = midway === undefined ? objects.find(low, high) : midway.findSeen(low, high);
  if (object === 0) return midway === undefined || midway.isRenewed(low, high) ? EMPTY_CLOCK : PAST;
  const at = object << SYNC_SHIFT;
  const clock = clocks.retain(objects.words[at + SYNC_CLOCK] as number);
  const slot = objects.words[at + SYNC_SLOT] as number;
  return slot === MERGED ? clock : clocks.set(clock, slot, objects.words[at + SYNC_POSITION] as number);
}

/** What each set of sources was ordered after; and the sources that are left open of it, as sets with numbers of their own. */
function settleSets(
  { clocks, midway }: Detector,
  later: Unsettled,
  known: readonly KnownClock[],
  left: readonly number[],
): { sets: SourceSets; numbers: number[]; setClocks: number[] } {
  const sets = new SourceSets();
  const numbers: number[] = [];
  const setClocks: number[] = [];
  for (let set = 0; set < later.parents.length; set++) {
    const parent = later.parents[set] as number;
    const before = parent === NO_SET ? EMPTY_CLOCK : (setClocks[parent] as number);
    let clock = clocks.retain(before);
    const added: number[] = [];
    for (const source of later.members.subarray(set === 0 ? 0 : later.ends[set - 1], later.ends[set])) {
      if (known[source] === PAST) added.push(left[source] as number);
      else clock = clocks.join(clock, known[source] as number);
    }
    setClocks.push(clock);
    if (midway === undefined) continue;
    if (clock !== before) {
      const news = midway.sourcesWhere(
        (slot, position) => clocks.get(clock, slot) >= position && clocks.get(before, slot) < position,
      );
      added.push(...news);
    }
    numbers.push(sets.add(parent === NO_SET ? NO_SET : (numbers[parent] as number), added));
  }
  return { sets, numbers, setClocks };
}

/**
 * What is left open of an access to a granule that is ordered after what `clock` knows: its word without the bytes whose
 * past is forgotten; WRONG if one of the granule's cells races with it.
 */
function settleAccess(earlier: Detector, granule: number, word: number, clock: number): number {
  const { midway, windows, wordsPerGranule, pageShift } = earlier;
  const index = Math.floor((granule * GRANULE_BYTES) / SEGMENT_BYTES);
  const within = granule - (index * SEGMENT_BYTES) / GRANULE_BYTES;
  const window = windows.at(index);
  const first = within * wordsPerGranule;
  if (
    window?.segment.shadowPages[first >> (pageShift - 2)] === PAGE_TOUCHED &&
    races(earlier, window.cells, first, first + wordsPerGranule, word, clock)
  ) {
    return WRONG;
  }
  return midway === undefined ? 0 : word & ~midway.forgotten(index, within);
}

/** Whether one of the cells from `from` up to `end` races with an access that is ordered after what `clock` knows. */
function races(
  earlier: Detector,
  cells: Int32Array,
  from: number,
  end: number,
  word: number,
  clock: number,
): boolean {
  const { clocks, leaks, spill } = earlier;
  for (let at = from; at < end; at += CELL_WORDS) {
    const old = cells[at] as number;
    const position = cells[at + 1] as number;
    if (position === SPILLED) {
      // What very many have read is mostly read again.
      if ((word & WRITE) === 0 && !spill.hasWrites(old)) continue;
      if (races(earlier, spill.words, spill.first(old), spill.end(old), word, clock)) return true;
    } else if (position !== 0 && (old & word & BYTES) !== 0 && conflict(old, word)) {
      const slot = old >>> SLOT_SHIFT;
      const known = clocks.get(clock, slot);
      if (position > known && !leaks.orders(slot, position, known)) return true;
    }
  }
  return false;
}
