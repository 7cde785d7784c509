/**
 * The latest allocations, so that a report can say which object a racy address is in.
 *
 * A ring: an allocation costs four stores, and looking for one is for reports alone. What lies further back
 * than the ring is long is not known any more.
 */
import { EMPTY_STACK } from './stack.js';

/** Allocations that are remembered: 1.5 MiB, and more than most programs have objects alive at a race. */
const ENTRIES = 64 * 1024;

/** Those that there is room for at first. */
const FEW = 64;

export interface Allocation {
  readonly address: number;
  readonly sizeBytes: number;
  /** Who allocated it, 0 if unknown, and the stack it had. */
  readonly goroutine: number;
  readonly stack: number;
}

export class Allocations {
  #addresses: Float64Array = new Float64Array(FEW);
  #sizes: Float64Array = new Float64Array(FEW);
  #goroutines: Int32Array = new Int32Array(FEW);
  #stacks: Int32Array = new Int32Array(FEW);
  #count = 0;

  /** Nothing was allocated. */
  reset(): void {
    this.#addresses = new Float64Array(FEW);
    this.#sizes = new Float64Array(FEW);
    this.#goroutines = new Int32Array(FEW);
    this.#stacks = new Int32Array(FEW);
    this.#count = 0;
  }

  add(address: number, sizeBytes: number, goroutine: number, stack: number): void {
    if (this.#count === this.#sizes.length && this.#count < ENTRIES) this.#grow();
    const at = this.#count & (this.#sizes.length - 1);
    this.#addresses[at] = address;
    this.#sizes[at] = sizeBytes;
    this.#goroutines[at] = goroutine;
    this.#stacks[at] = stack;
    this.#count++;
  }

  /** The latest allocation that `address` is in. */
  find(address: number): Allocation | undefined {
    const entries = this.#sizes.length;
    for (let past = 1; past <= Math.min(this.#count, entries); past++) {
      const at = (this.#count - past) & (entries - 1);
      const start = this.#addresses[at] as number;
      const sizeBytes = this.#sizes[at] as number;
      if (address >= start && address < start + sizeBytes) {
        const goroutine = this.#goroutines[at] as number;
        return { address: start, sizeBytes, goroutine, stack: this.#stacks[at] as number };
      }
    }
    return undefined;
  }

  /** Calls `mark` with every stack that an allocation refers to. */
  markStacks(mark: (stack: number) => void): void {
    for (const stack of this.#stacks) if (stack !== EMPTY_STACK) mark(stack);
  }

  #grow(): void {
    const grow = <T extends Float64Array | Int32Array>(old: T, grown: T): T => {
      grown.set(old);
      return grown;
    };
    const length = this.#sizes.length * 2;
    this.#addresses = grow(this.#addresses, new Float64Array(length));
    this.#sizes = grow(this.#sizes, new Float64Array(length));
    this.#goroutines = grow(this.#goroutines, new Int32Array(length));
    this.#stacks = grow(this.#stacks, new Int32Array(length));
  }
}
