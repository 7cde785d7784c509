/**
 * What a detector that keeps stacks knows of two accesses that race, while it sees them.
 */
import type { Allocation } from './allocations.js';
import { BYTES, cellSlot } from './cell.js';
import type { Detector } from './detector.js';
import { type GoroutineInfo, POSITION, STATE_SHIFT } from './goroutine.js';
import type { PastAccess } from './history.js';
import type { Witness } from './race-log.js';
import type { RaceSighting } from './record.js';
import { EMPTY_STACK } from './stack.js';
import type { AddressRange } from './window.js';

export class DetectorWitness implements Witness<RaceSighting> {
  readonly #detector: Detector;
  /** The earlier access of the sighting in hand. */
  #past: PastAccess | undefined;

  constructor(detector: Detector) {
    this.#detector = detector;
  }

  pastBytes({ word, oldWord, oldPosition }: RaceSighting): number | undefined {
    const { goroutines, history } = this.#detector;
    const slot = cellSlot(oldWord);
    const now = goroutines.state[(slot << STATE_SHIFT) + POSITION] as number;
    this.#past = history.find(slot, oldPosition, word & oldWord & BYTES, now);
    return this.#past?.bytes;
  }

  currentStack({ stack, pcLow, pcHigh }: RaceSighting): number {
    return this.#detector.stacks.push(stack, pcLow, pcHigh);
  }

  previousStack(): number {
    const past = this.#past;
    return past === undefined ? EMPTY_STACK : this.#detector.stacks.push(past.stack, past.pcLow, past.pcHigh);
  }

  pcs(stack: number): number[] {
    return this.#detector.stacks.pcs(stack);
  }

  current({ word }: RaceSighting): GoroutineInfo {
    return this.#detector.runningOn(cellSlot(word));
  }

  previous({ oldWord, oldPosition }: RaceSighting): GoroutineInfo {
    return this.#detector.goroutines.at(cellSlot(oldWord), oldPosition);
  }

  main(): number {
    return this.#detector.goroutines.main;
  }

  allocation(address: number): Allocation | undefined {
    return this.#detector.allocations.find(address);
  }

  range(_sighting: RaceSighting, address: number): AddressRange | undefined {
    return this.#detector.windows.rangeOf(address);
  }
}
