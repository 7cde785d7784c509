/**
 * Which races are told. Go's rule: one report for each address and one for each pair of stacks, in either order.
 */
import type { GoraceOptions } from './gorace.js';
import { RacyBytes } from './racy-bytes.js';

/** Stack numbers are below this, so that a pair of them is one number. */
const STACK_LIMIT = 2 ** 26;

/** What decides about sightings, in the order in which they come. */
export interface Suppression {
  /** Whether a race on the bytes `touched` of the granule at this address is told already, whatever its stacks. */
  hidesAddress(granule: number, touched: number): boolean;
  /** Whether a race with these stacks, whose address is not hidden, is told; then it is remembered. */
  tells(granule: number, touched: number, current: number, previous: number): boolean;
  /** Calls `mark` with every stack that it refers to. */
  markStacks(mark: (stack: number) => void): void;
}

/** Pairs of stacks, in either order. */
class StackPairs {
  readonly #pairs = new Set<number>();
  readonly #stacks = new Set<number>();

  has(one: number, other: number): boolean {
    return this.#pairs.has(pairOf(one, other));
  }

  add(one: number, other: number): void {
    this.#pairs.add(pairOf(one, other));
    this.#stacks.add(one).add(other);
  }

  markStacks(mark: (stack: number) => void): void {
    for (const stack of this.#stacks) mark(stack);
  }
}

function pairOf(one: number, other: number): number {
  return Math.min(one, other) * STACK_LIMIT + Math.max(one, other);
}

/** Go's rule. */
export class GoSuppression implements Suppression {
  readonly #gorace: GoraceOptions;
  readonly #told = new RacyBytes();
  readonly #pairs = new StackPairs();

  constructor(gorace: GoraceOptions) {
    this.#gorace = gorace;
  }

  hidesAddress(granule: number, touched: number): boolean {
    return this.#gorace.suppressEqualAddresses && this.#told.overlaps(granule, touched);
  }

  tells(granule: number, touched: number, current: number, previous: number): boolean {
    if (this.#gorace.suppressEqualStacks && this.#pairs.has(current, previous)) return false;
    this.#told.add(granule, touched);
    this.#pairs.add(current, previous);
    return true;
  }

  markStacks(mark: (stack: number) => void): void {
    this.#pairs.markStacks(mark);
  }
}

/**
 * Lets through what Go's rule might tell, for a detector that sees a share of the addresses and does not know which stacks
 * races elsewhere had. Whoever knows all shares applies Go's rule to what all of them let through, in order.
 *
 * Let Q be let through, and R be a later sighting with the same stacks. Go's rule tells Q, or its stacks were told
 * before: either way R is not told. Unless Q is hidden by its address, for which another sighting of this share must
 * have been let through that overlaps Q. So after a Q that overlaps none, its stacks are settled. And after any Q, so is
 * a sighting with its stacks and its very bytes. What is let through stays few.
 */
export class ShareSuppression implements Suppression {
  readonly #gorace: GoraceOptions;
  readonly #let = new RacyBytes();
  readonly #settled = new StackPairs();
  /** Those that were let through without being settled: stacks, granule and bytes. */
  readonly #unsettled = new StackPairs();
  readonly #exact = new Set<string>();

  constructor(gorace: GoraceOptions) {
    this.#gorace = gorace;
  }

  hidesAddress(granule: number, touched: number): boolean {
    const { suppressEqualAddresses, suppressEqualStacks } = this.#gorace;
    // Without a rule about stacks what is let through is told, and addresses are this share's own.
    return suppressEqualAddresses && !suppressEqualStacks && this.#let.overlaps(granule, touched);
  }

  tells(granule: number, touched: number, current: number, previous: number): boolean {
    if (this.#gorace.suppressEqualStacks) {
      if (this.#settled.has(current, previous)) return false;
      if (this.#gorace.suppressEqualAddresses && this.#let.overlaps(granule, touched)) {
        const exact = `${pairOf(current, previous)} ${granule} ${touched}`;
        if (this.#exact.has(exact)) return false;
        this.#exact.add(exact);
        this.#unsettled.add(current, previous);
      } else {
        this.#settled.add(current, previous);
      }
    }
    this.#let.add(granule, touched);
    return true;
  }

  markStacks(mark: (stack: number) => void): void {
    this.#settled.markStacks(mark);
    this.#unsettled.markStacks(mark);
  }
}
