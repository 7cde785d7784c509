/**
 * A part of a recording, checked by a detector of its own that does not know the parts before it (lib/race/midway.ts).
 *
 * All that it finds out is whether the part is without races and faults, as far as it can tell; what it cannot is settled
 * with the parts before it.
 */
import { Detector } from '../race/detector.js';
import { GOROUTINE_LIMIT, STACK, STATE_SHIFT } from '../race/goroutine.js';
import { settle } from '../race/settle.js';
import { EMPTY_STACK } from '../race/stack.js';
import type { Unsettled } from '../race/unsettled.js';
import type { Layout } from '../shadow/layouts.js';
import type { ShadowMemory } from '../shadow/segment.js';
import { WORD, Op } from './format.js';
import { createReplayer, type Replayer } from './replay-events.js';
import type { EventValidator } from './validate.js';

/** What stops a part: it has a race. */
const RACE = new Error('a race');

export class Part {
  readonly #detector: Detector;
  readonly #replayer: Replayer;

  /**
   * @param shadow fresh, and with that layout
   * @param first whether the part begins where the recording does
   */
  constructor(shadow: ShadowMemory, layout: Layout, first: boolean) {
    const midwayIn = first ? undefined : layout.application;
    this.#detector = new Detector(shadow, { keepsStacks: false, midwayIn });
    this.#detector.begin({
      shadow,
      historyEntries: 1,
      onSighting: () => {
        throw RACE;
      },
    });
    this.#replayer = createReplayer(this.#detector, (validator, words, at) =>
      this.#amend(validator, words, at),
    );
  }

  /** Goroutines that were started. */
  get startedCount(): number {
    return this.#detector.goroutines.startedCount;
  }

  /**
   * Checks the next events; false if there is a race, or anything that one detector of the whole recording must see.
   * @param before events of the part that were before these
   */
  replay(validator: EventValidator, words: Int32Array, count: number, before: number): boolean {
    try {
      this.#replayer.replay(validator, words, count, before);
    } catch {
      // Whatever it is, one detector finds it out again.
      return false;
    }
    return this.#replayer.done() === count;
  }

  /** What the part leaves open; undefined if it is the first. */
  unsettled(): Unsettled | undefined {
    return this.#detector.midway?.unsettled();
  }

  /** As the function in lib/race/settle.ts. */
  settle(later: Unsettled): Unsettled | undefined {
    return settle(this.#detector, later);
  }

  /** Takes for granted, of the past, what makes an event right. */
  #amend(validator: EventValidator, words: Int32Array, at: number): boolean {
    const { midway, goroutines } = this.#detector;
    const goroutine = words[at + WORD.goroutine] as number;
    if (midway === undefined || goroutine <= 0 || goroutine >= GOROUTINE_LIMIT) return false;
    if (validator.isUnknown(goroutine)) {
      midway.assume(goroutine);
      validator.assume(goroutine);
      return true;
    }
    const slot = goroutines.find(goroutine);
    const own = (slot << STATE_SHIFT) + STACK;
    if (slot < 0 || ((words[at] as number) & 0xff) !== Op.FuncExit || goroutines.state[own] !== EMPTY_STACK)
      return false;
    // It leaves a function that it was in before: as if it had been entered here.
    if (!midway.owesExit(goroutine)) return false;
    goroutines.state[own] = EMPTY_STACK + 1;
    validator.noteDepth(goroutine, 1);
    return true;
  }
}
