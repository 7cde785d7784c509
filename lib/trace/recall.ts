/**
 * What the events of a recording say of races that a detector saw which kept no stacks: one more pass over the events, which
 * follows calls and allocations alone, up to the last race that is not of an address that was told.
 *
 *     events    ├──────┬───────────┬──────────┬──────┤
 *                    Malloc     earlier     later access
 *                      └───────────┴──────────┴── each with the stack of its goroutine at that time: a report
 *
 * So nothing is remembered for accesses that do not race, and nothing is forgotten of those that do. The reports are those of a
 * detector that keeps stacks, as far as that remembers.
 */
import type { Allocation } from '../race/allocations.js';
import { FIRST_NUMBER } from '../race/bare.js';
import { BYTES, byteMask, cellSlot, firstByte } from '../race/cell.js';
import type { Detector } from '../race/detector.js';
import type { GoroutineInfo } from '../race/goroutine.js';
import type { RaceLog, RacyCells, Witness } from '../race/race-log.js';
import type { RaceSighting } from '../race/record.js';
import { EMPTY_STACK, joinWords } from '../race/stack.js';
import type { AddressRange } from '../race/window.js';
import { GRANULE_BYTES } from '../shadow/segment.js';
import { Calls, type StackNumbers } from './calls.js';
import { EVENT_WORDS, Op, WORD } from './format.js';
import type { EventBatch } from './reader.js';
import { allocator } from './replay-events.js';
import { lowerBound } from './sorted.js';
import { SIZE_SHIFT } from './validate.js';

/** Two accesses that race, by the numbers of their events. */
export interface NumberedRace extends RacyCells {
  readonly event: number;
  readonly oldEvent: number;
  readonly goroutine: number;
  readonly oldGoroutine: number;
  /** Whether the goroutine of the earlier one had not ended. */
  readonly oldIsRunning: boolean;
  /** What was mapped around the first racy byte. */
  readonly range: AddressRange | undefined;
}

/** What a detector that numbers events knows of a sighting, when it sees it. */
export function numberedRace(detector: Detector, sighting: RaceSighting): NumberedRace {
  const { granule, word, oldWord, oldPosition, pcLow } = sighting;
  const overlap = word & oldWord & BYTES;
  const old = detector.goroutines.at(cellSlot(oldWord), oldPosition);
  return {
    granule,
    word,
    oldWord,
    event: pcLow,
    oldEvent: detector.numbers?.eventOf(oldPosition, overlap, (granule / GRANULE_BYTES) | 0) ?? oldPosition,
    goroutine: detector.runningOn(cellSlot(word)).goroutine,
    oldGoroutine: old.goroutine,
    oldIsRunning: old.running,
    range: detector.windows.rangeOf(firstAddress(granule, overlap)),
  };
}

/** An access that is asked for: its event, and its stack. */
interface Recalled {
  readonly address: number;
  readonly sizeBytes: number;
  readonly stack: number;
}

export class Recall implements Witness<NumberedRace> {
  /** How many of the first events are needed. */
  readonly end: number;
  readonly #log: RaceLog;
  /** By their later accesses, in which order they are told; and by their earlier ones. */
  readonly #races: readonly NumberedRace[];
  readonly #byOld: readonly NumberedRace[];
  #told = 0;
  #passed = 0;
  /** Each number once, of an event that a race is asked for at: ascending. */
  readonly #asked: Float64Array;
  #askedAt = 0;
  /** The earlier accesses, by number. */
  readonly #recalled = new Map<number, Recalled>();
  /** The address of each first racy byte, ascending, and the allocation that it is in. */
  readonly #addresses: Float64Array;
  readonly #allocations: (Allocation | undefined)[];
  /** The goroutines of the accesses, and the stacks of their go statements. */
  readonly #creations = new Map<number, number>();
  readonly #stacks: StackNumbers;
  readonly #calls: Calls;
  #main = 0;
  /** The event at hand. */
  #words: Int32Array = new Int32Array(0);
  #at = 0;

  /**
   * @param races in the order in which they were seen
   * @param stacks what the log knows stacks by
   */
  constructor(races: readonly NumberedRace[], log: RaceLog, stacks: StackNumbers) {
    this.#log = log;
    this.#stacks = stacks;
    this.#calls = new Calls(stacks);
    this.#races = races;
    this.#byOld = [...races].sort((a, b) => a.oldEvent - b.oldEvent);
    this.#asked = distinct(races.flatMap(({ event, oldEvent }) => [event, oldEvent]));
    this.end = (this.#asked.at(-1) ?? FIRST_NUMBER - 1) - FIRST_NUMBER + 1;
    this.#addresses = distinct(
      races.map(({ granule, word, oldWord }) => firstAddress(granule, word & oldWord & BYTES)),
    );
    this.#allocations = new Array<undefined>(this.#addresses.length).fill(undefined);
    for (const { goroutine, oldGoroutine } of races) {
      this.#creations.set(goroutine, EMPTY_STACK).set(oldGoroutine, EMPTY_STACK);
    }
  }

  /** Whether no race is left to tell: no further event is needed then. */
  get isDone(): boolean {
    return this.#told === this.#races.length;
  }

  /** The next events of the recording, from the first on. They were checked when the races were found. */
  take({ words, firstEvent, count }: EventBatch): void {
    this.#words = words;
    let next = this.#asked[this.#askedAt] ?? Number.POSITIVE_INFINITY;
    for (let event = 0, at = 0; event < count && !this.isDone; event++, at += EVENT_WORDS) {
      const op = (words[at] as number) & 0xff;
      if (op === Op.FuncEnter) this.#calls.enter(words[at + WORD.goroutine] as number, pcOf(words, at));
      else if (op === Op.FuncExit) this.#calls.leave(words[at + WORD.goroutine] as number);
      else if (op === Op.Malloc) this.#malloc(at);
      else if (op === Op.Initialize || op === Op.GoStart || op === Op.GoEnd) this.#startOrEnd(op, at);
      if (firstEvent + event + FIRST_NUMBER < next) continue;
      this.#at = at;
      this.#answer(next);
      next = this.#asked[++this.#askedAt] ?? Number.POSITIVE_INFINITY;
    }
  }

  pastBytes({ granule, word, oldWord, oldEvent }: NumberedRace): number | undefined {
    const past = this.#recalled.get(oldEvent);
    const bytes = past === undefined ? 0 : bytesIn(granule, past);
    return (bytes & word & oldWord & BYTES) === 0 ? undefined : bytes;
  }

  currentStack(): number {
    return this.#access().stack;
  }

  previousStack(race: NumberedRace): number {
    if (this.pastBytes(race) === undefined) return EMPTY_STACK;
    return this.#recalled.get(race.oldEvent)?.stack ?? EMPTY_STACK;
  }

  pcs(stack: number): readonly number[] {
    return this.#stacks.pcs(stack);
  }

  current({ goroutine }: NumberedRace): GoroutineInfo {
    return this.#goroutine(goroutine, true);
  }

  previous({ oldGoroutine, oldIsRunning }: NumberedRace): GoroutineInfo {
    return this.#goroutine(oldGoroutine, oldIsRunning);
  }

  main(): number {
    return this.#main;
  }

  allocation(address: number): Allocation | undefined {
    const index = lowerBound(this.#addresses, address);
    return this.#addresses[index] === address ? this.#allocations[index] : undefined;
  }

  range({ range }: NumberedRace): AddressRange | undefined {
    return range;
  }

  /** The event at hand is the earlier access of races, or the later one. */
  #answer(number: number): void {
    let isNeeded = false;
    for (; this.#byOld[this.#passed]?.oldEvent === number; this.#passed++) {
      isNeeded ||= !this.#log.suppresses(this.#byOld[this.#passed] as NumberedRace);
    }
    if (isNeeded) this.#recalled.set(number, this.#access());
    for (; this.#races[this.#told]?.event === number; this.#told++) {
      this.#log.add(this, this.#races[this.#told] as NumberedRace);
    }
    // So that no event is passed for what will not be told.
    while (!this.isDone && this.#log.suppresses(this.#races[this.#told] as NumberedRace)) this.#told++;
  }

  /** The access that the event at hand is. */
  #access(): Recalled {
    const words = this.#words;
    const at = this.#at;
    const op = (words[at] as number) & 0xff;
    const argument = argumentOf(words, at);
    const isRange = op === Op.ReadRange || op === Op.WriteRange;
    const isCalled = op !== Op.Read && op !== Op.Write && !isRange && argument !== 0;
    const pc = pcOf(words, at);
    const goroutine = words[at + WORD.goroutine] as number;
    return {
      address: addressOf(words, at),
      sizeBytes: isRange ? argument : (words[at] as number) >>> SIZE_SHIFT,
      stack: isCalled ? this.#calls.stackOf(goroutine, argument, pc) : this.#calls.stackOf(goroutine, pc),
    };
  }

  #malloc(at: number): void {
    const words = this.#words;
    const address = addressOf(words, at);
    const sizeBytes = argumentOf(words, at);
    const isIn = (index: number) =>
      (this.#addresses[index] ?? Number.POSITIVE_INFINITY) < address + sizeBytes;
    const first = lowerBound(this.#addresses, address);
    if (!isIn(first)) return;
    const known = allocator(words, at);
    const goroutine = this.#calls.isRunning(known) ? known : 0;
    const allocation = { address, sizeBytes, goroutine, stack: this.#calls.stackOf(goroutine) };
    for (let index = first; isIn(index); index++) this.#allocations[index] = allocation;
  }

  #startOrEnd(op: number, at: number): void {
    const words = this.#words;
    const goroutine = words[at + WORD.goroutine] as number;
    if (op === Op.GoEnd) {
      this.#calls.end(goroutine);
    } else if (op === Op.Initialize) {
      this.#main = goroutine;
      this.#calls.start(goroutine);
    } else {
      const started = words[at + WORD.argLow] as number;
      if (this.#creations.has(started)) {
        const pc = pcOf(words, at);
        const stack = this.#calls.stackOf(goroutine, ...(pc === 0 ? [] : [pc]));
        this.#creations.set(started, stack);
      }
      this.#calls.start(started);
    }
  }

  #goroutine(goroutine: number, running: boolean): GoroutineInfo {
    return { goroutine, running, createdAt: this.#creations.get(goroutine) ?? EMPTY_STACK };
  }
}

function addressOf(words: Int32Array, at: number): number {
  return joinWords(words[at + WORD.addrLow] as number, words[at + WORD.addrHigh] as number);
}

function argumentOf(words: Int32Array, at: number): number {
  return joinWords(words[at + WORD.argLow] as number, words[at + WORD.argHigh] as number);
}

function pcOf(words: Int32Array, at: number): number {
  return joinWords(words[at + WORD.pcLow] as number, words[at + WORD.pcHigh] as number);
}

/** The address of the first byte of a mask of a granule. */
function firstAddress(granule: number, mask: number): number {
  return granule + firstByte(mask);
}

/** The bytes of a granule that an access touched. */
function bytesIn(granule: number, { address, sizeBytes }: Recalled): number {
  const from = Math.max(address, granule);
  const end = Math.min(address + sizeBytes, granule + GRANULE_BYTES);
  return from < end ? byteMask(from - granule, end - from) : 0;
}

/** Each of some numbers once, ascending. */
function distinct(numbers: readonly number[]): Float64Array {
  return Float64Array.from(new Set(numbers)).sort();
}
