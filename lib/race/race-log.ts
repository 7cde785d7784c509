/**
 * From a sighting (two cells that race) to a report: which bytes, whose stacks, and whether it was told before.
 *
 * Suppression is Go's: one report for each address and one for each pair of stacks, in either order. What a sighting's
 * cells do not say is asked of a witness: the detector that saw it (witness.ts), or the recording (lib/trace/recall.ts).
 */
import type { Allocation } from './allocations.js';
import { BYTES, byteCount, firstByte, PLAIN, WRITE } from './cell.js';
import type { GoraceOptions } from './gorace.js';
import type { GoroutineInfo } from './goroutine.js';
import { RacyBytes } from './racy-bytes.js';
import type { RaceLocation, RaceReport, ReportedAccess } from './report.js';
import { EMPTY_STACK } from './stack.js';
import type { AddressRange } from './window.js';

/** Two cells that race: the granule's address, and word 0 of the later one and of the earlier. */
export interface RacyCells {
  readonly granule: number;
  readonly word: number;
  readonly oldWord: number;
}

/** What is known of two accesses that race, beyond their cells. Asked no more than what is needed, in this order. */
export interface Witness<Cells extends RacyCells> {
  /** Bytes of the granule that the earlier access touched; undefined if it is not known any more which one it was. */
  pastBytes(cells: Cells): number | undefined;
  /** The number of the later access's stack: equal ones have the same. */
  currentStack(cells: Cells): number;
  /** That of the earlier one's; EMPTY_STACK if it is not known. */
  previousStack(cells: Cells): number;
  /** The pcs of a stack, innermost first. */
  pcs(stack: number): readonly number[];
  /** Who made the later access, as of then. */
  current(cells: Cells): GoroutineInfo;
  /** Who made the earlier one, as of the later. */
  previous(cells: Cells): GoroutineInfo;
  /** The goroutine of Initialize. */
  main(): number;
  /** The latest allocation that a racy address is in. */
  allocation(address: number): Allocation | undefined;
  /** The mapped range that it is in. */
  range(cells: Cells, address: number): AddressRange | undefined;
}

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
  /** Reports made. */
  reportCount = 0;
  readonly #options: RaceLogOptions;
  /** Addresses of granules to the bytes that reports were about. */
  readonly #reported = new RacyBytes();
  /** Pairs of stacks that were reported, and the stacks in them. */
  readonly #pairs = new Set<number>();
  readonly #stacks = new Set<number>();
  /** The later stack of the sighting in hand. */
  #current = EMPTY_STACK;

  constructor(options: RaceLogOptions) {
    this.#options = options;
  }

  /** Calls `mark` with every stack that the log refers to. */
  markStacks(mark: (stack: number) => void): void {
    for (const stack of this.#stacks) mark(stack);
    mark(this.#current);
  }

  /** Whether a sighting is not reported, whatever else is known of it, because its address was. */
  suppresses({ granule, word }: RacyCells): boolean {
    return (
      this.#options.gorace.suppressEqualAddresses && this.#reported.overlaps(granule, span(word & BYTES))
    );
  }

  /** Two accesses race. */
  add<Cells extends RacyCells>(witness: Witness<Cells>, cells: Cells): void {
    const { granule, word, oldWord } = cells;
    if (this.suppresses(cells)) return;
    const { gorace } = this.#options;
    const bytes = word & BYTES;
    const oldBytes = witness.pastBytes(cells) ?? oldWord & BYTES;
    const touched = span(bytes) | span(oldBytes);
    if (gorace.suppressEqualAddresses && this.#reported.overlaps(granule, touched)) return;

    const current = witness.currentStack(cells);
    this.#current = current;
    const previous = witness.previousStack(cells);
    const pair = Math.min(current, previous) * STACK_LIMIT + Math.max(current, previous);
    if (gorace.suppressEqualStacks && this.#pairs.has(pair)) return;

    this.#reported.add(granule, touched);
    this.#pairs.add(pair);
    this.#stacks.add(current).add(previous);
    this.reportCount++;
    const access = (cell: number, mask: number, who: GoroutineInfo, stack: number): ReportedAccess => ({
      kind: (cell & WRITE) === 0 ? 'read' : 'write',
      atomic: (cell & PLAIN) === 0,
      address: granule + firstByte(mask),
      sizeBytes: byteCount(span(mask)),
      goroutine: who.goroutine,
      textNumber: this.#textNumber(who.goroutine),
      main:
        this.#options.goNumbers === true
          ? this.#textNumber(who.goroutine) === GO_MAIN_NUMBER
          : who.goroutine === witness.main(),
      running: who.running,
      stack: stack === EMPTY_STACK ? null : witness.pcs(stack),
      createdAt: witness.pcs(who.createdAt),
    });
    const overlap = bytes & oldWord;
    const address = granule + firstByte(overlap);
    this.#options.onReport({
      address,
      sizeBytes: byteCount(overlap),
      current: access(word, bytes, witness.current(cells), current),
      previous: access(oldWord, oldBytes, witness.previous(cells), previous),
      location: this.#locate(witness, cells, address),
    });
  }

  #textNumber(goroutine: number): number {
    return this.#options.goNumbers === true ? goroutine - 1 : goroutine;
  }

  #locate<Cells extends RacyCells>(
    witness: Witness<Cells>,
    cells: Cells,
    address: number,
  ): RaceLocation | null {
    const object = witness.allocation(address);
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
            : { goroutine, textNumber: this.#textNumber(goroutine), stack: witness.pcs(stack) },
      };
    }
    const range = witness.range(cells, address);
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
