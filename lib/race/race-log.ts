/**
 * From a sighting (two cells that race) to a report: which bytes, whose stacks, and whether it was told before.
 *
 * Suppression is Go's: one report for each address and one for each pair of stacks, in either order. The
 * racy bytes are kept for all sightings, reported or not.
 */
import { BYTES, byteCount, cellSlot, firstByte, PLAIN, WRITE } from './cell.js';
import type { Detector } from './detector.js';
import type { RaceSighting } from './record.js';
import type { GoraceOptions } from './gorace.js';
import { type GoroutineInfo, POSITION, STATE_SHIFT } from './goroutine.js';
import { RacyBytes } from './racy-bytes.js';
import type { RaceLocation, RaceReport, ReportedAccess } from './report.js';
import { EMPTY_STACK } from './stack.js';

/** An address range with a name: the layout's data and heap. */
export interface NamedRange {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export interface RaceLogOptions {
  readonly gorace: GoraceOptions;
  /** Names for the ranges of application memory. */
  readonly ranges: readonly NamedRange[];
  readonly onReport: (report: RaceReport) => void;
  /**
   * Whether goroutines are numbered as Go's runtime does it: the goroutine of Initialize, 1, is the context in which the
   * program itself is set up and has number 0 in text; the main goroutine is the first that it starts, 2.
   * Otherwise text has the caller's numbers, and the goroutine of Initialize is the main one.
   */
  readonly goNumbers?: boolean;
}

/** The main goroutine's number where goroutines are numbered as in Go. */
const GO_MAIN_NUMBER = 1;

/** Stack numbers are below this, so that a pair of them is one number. */
const STACK_LIMIT = 2 ** 26;

export class RaceLog {
  readonly bytes = new RacyBytes();
  /** Reports made. */
  reportCount = 0;
  readonly #options: RaceLogOptions;
  /** Addresses of granules to the bytes that reports were about. */
  readonly #reported = new RacyBytes();
  /** Pairs of stacks that were reported, and the stacks in them. */
  readonly #pairs = new Set<number>();
  readonly #stacks = new Set<number>();
  /** Stacks of the sighting in hand. */
  #current = EMPTY_STACK;

  constructor(options: RaceLogOptions) {
    this.#options = options;
  }

  /** Calls `mark` with every stack that the log refers to. */
  markStacks(mark: (stack: number) => void): void {
    for (const stack of this.#stacks) mark(stack);
    mark(this.#current);
  }

  /** Two accesses race. */
  add(detector: Detector, sighting: RaceSighting): void {
    const { granule, word, oldWord, oldPosition } = sighting;
    const overlap = word & oldWord & BYTES;
    this.bytes.add(granule, overlap);

    const { gorace } = this.#options;
    const slot = cellSlot(oldWord);
    const now = detector.goroutines.state[(slot << STATE_SHIFT) + POSITION] as number;
    const past = detector.history.find(slot, oldPosition, overlap, now);
    const oldBytes = past?.bytes ?? oldWord & BYTES;
    const touched = span(word & BYTES) | span(oldBytes);
    if (gorace.suppressEqualAddresses && this.#reported.overlaps(granule, touched)) return;

    const { stacks } = detector;
    const current = stacks.push(sighting.stack, sighting.pcLow, sighting.pcHigh);
    this.#current = current;
    const previous = past === undefined ? EMPTY_STACK : stacks.push(past.stack, past.pcLow, past.pcHigh);
    const pair = Math.min(current, previous) * STACK_LIMIT + Math.max(current, previous);
    if (gorace.suppressEqualStacks && this.#pairs.has(pair)) return;

    this.#reported.add(granule, touched);
    this.#pairs.add(pair);
    this.#stacks.add(current).add(previous);
    this.reportCount++;
    const access = (cell: number, bytes: number, who: GoroutineInfo, stack: number): ReportedAccess => ({
      kind: (cell & WRITE) === 0 ? 'read' : 'write',
      atomic: (cell & PLAIN) === 0,
      address: granule + firstByte(bytes),
      sizeBytes: byteCount(span(bytes)),
      goroutine: who.goroutine,
      textNumber: this.#textNumber(who.goroutine),
      main:
        this.#options.goNumbers === true
          ? this.#textNumber(who.goroutine) === GO_MAIN_NUMBER
          : who.goroutine === detector.goroutines.main,
      running: who.running,
      stack: stack === EMPTY_STACK ? null : stacks.pcs(stack),
      createdAt: stacks.pcs(who.createdAt),
    });
    const address = granule + firstByte(overlap);
    this.#options.onReport({
      address,
      sizeBytes: byteCount(overlap),
      current: access(word, word & BYTES, detector.runningOn(cellSlot(word)), current),
      previous: access(oldWord, oldBytes, detector.goroutines.at(slot, oldPosition), previous),
      location: this.#locate(detector, address),
    });
  }

  #textNumber(goroutine: number): number {
    return this.#options.goNumbers === true ? goroutine - 1 : goroutine;
  }

  #locate(detector: Detector, address: number): RaceLocation | null {
    const object = detector.allocations.find(address);
    if (object !== undefined) {
      const { goroutine, stack } = object;
      return {
        kind: 'object',
        address: object.address,
        sizeBytes: object.sizeBytes,
        offset: address - object.address,
        allocated:
          goroutine === 0
            ? null
            : { goroutine, textNumber: this.#textNumber(goroutine), stack: detector.stacks.pcs(stack) },
      };
    }
    const range = detector.windows.ranges.find(({ start, end }) => address >= start && address < end);
    if (range === undefined) return null;
    const name = this.#options.ranges.find(({ start, end }) => address >= start && address < end)?.name;
    return {
      kind: 'region',
      name: name ?? 'mapped',
      address: range.start,
      sizeBytes: range.end - range.start,
      offset: address - range.start,
    };
  }
}

/** A mask with the bytes between its first and its last. */
function span(mask: number): number {
  const low = mask & -mask;
  const high = 1 << (31 - Math.clz32(mask));
  return (high | (high - 1)) & ~(low - 1);
}
