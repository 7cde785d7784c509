/**
 * The calls that each goroutine is in, as one follows the events of a recording, and the stacks that one asks for.
 *
 * Calls are pushed and popped in place, so following them costs no memory; a stack that is asked for is copied, and has a
 * number by which it is known from others, 0 the empty one.
 */
import { EMPTY_STACK } from '../race/stack.js';

/** Numbers for stacks: equal ones have the same. */
export class StackNumbers {
  /** The pcs of each stack, innermost first, by its number; and the numbers by the pcs. */
  readonly #stacks: (readonly number[])[] = [[]];
  readonly #numbers = new Map<string, number>();

  /** @param pcs innermost first */
  numberOf(pcs: readonly number[]): number {
    if (pcs.length === 0) return EMPTY_STACK;
    const name = pcs.join(' ');
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#stacks.push(pcs) - 1;
      this.#numbers.set(name, number);
    }
    return number;
  }

  /** The pcs of a stack, innermost first. */
  pcs(stack: number): readonly number[] {
    return this.#stacks[stack] ?? [];
  }
}

export class Calls {
  readonly #stacks: StackNumbers;
  /** Of each goroutine that runs the pcs of its calls, outermost first. */
  readonly #running = new Map<number, number[]>();
  /** The goroutine that called or returned last, 0 if none did, and its calls. */
  #last = 0;
  #lastCalls: number[] = [];

  constructor(stacks: StackNumbers) {
    this.#stacks = stacks;
  }

  start(goroutine: number): void {
    this.#running.set(goroutine, []);
  }

  end(goroutine: number): void {
    this.#running.delete(goroutine);
  }

  isRunning(goroutine: number): boolean {
    return this.#running.has(goroutine);
  }

  enter(goroutine: number, pc: number): void {
    this.#of(goroutine).push(pc);
  }

  leave(goroutine: number): void {
    this.#of(goroutine).pop();
  }

  /** The number of a goroutine's stack, with some more pcs on it: empty without them if it does not run. */
  stackOf(goroutine: number, ...more: readonly number[]): number {
    return this.#stacks.numberOf([...(this.#running.get(goroutine) ?? []), ...more].reverse());
  }

  #of(goroutine: number): number[] {
    if (goroutine !== this.#last) {
      this.#last = goroutine;
      this.#lastCalls = this.#running.get(goroutine) ?? [];
    }
    return this.#lastCalls;
  }
}
