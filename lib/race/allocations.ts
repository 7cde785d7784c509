/**
 * The latest allocations, so that a report can say which object a racy address is in.
 *
 * A ring of integers: an allocation costs six stores beside one another, and looking for one is for reports alone. What lies
 * further back than the ring is long is not known any more.
 */
import type { TableSpace } from '../native/table.js';
import { EMPTY_STACK, joinWords, type MarkRoots } from './stack.js';

/** log2 of the allocations that are remembered: 1.5 MiB, and more than most programs have objects alive at a race. */
const MOST = 16;

/** What of a detector's tables is allocations: 32 MiB. Where tables have fewer addresses, fewer are remembered. */
const PART = 1 / 128;

// An allocation: its address and its size, two words each, who made it, and the stack that was below.
const LOW = 0;
const HIGH = 1;
const SIZE_LOW = 2;
const SIZE_HIGH = 3;
const GOROUTINE = 4;
const STACK = 5;
const ENTRY_WORDS = 6;

export interface Allocation {
  readonly address: number;
  readonly sizeBytes: number;
  /** Who allocated it, 0 if unknown, and the stack it had. */
  readonly goroutine: number;
  readonly stack: number;
}

export interface Allocations {
  /** @throws LazyShadowError ERR_OUT_OF_MEMORY; nothing is changed then */
  add(low: number, high: number, sizeBytes: number, goroutine: number, stack: number): void;
  /** The latest allocation that `address` is in. */
  find(address: number): Allocation | undefined;
  /** Calls `mark` with every stack that an allocation refers to. */
  markStacks: MarkRoots;
  /** Nothing was allocated. */
  reset(): void;
}

export function createAllocations(space: TableSpace): Allocations {
  const memory = space.table('allocations', PART);
  const { words } = memory;
  const capacity = 2 ** Math.min(MOST, Math.floor(Math.log2(words.length / ENTRY_WORDS)));
  /** Where the next one is put, and how many there are. */
  let next = 0;
  let count = 0;

  function reset(): void {
    memory.reset();
    next = 0;
    count = 0;
  }

  function add(low: number, high: number, sizeBytes: number, goroutine: number, stack: number): void {
    const at = next * ENTRY_WORDS;
    if (count < capacity) {
      memory.reserve(at + ENTRY_WORDS);
      count++;
    }
    words[at + LOW] = low | 0;
    words[at + HIGH] = high | 0;
    words[at + SIZE_LOW] = sizeBytes | 0;
    words[at + SIZE_HIGH] = sizeBytes < 2 ** 31 ? 0 : Math.floor(sizeBytes / 2 ** 32);
    words[at + GOROUTINE] = goroutine | 0;
    words[at + STACK] = stack | 0;
    next = (next + 1) & (capacity - 1);
  }

  function find(address: number): Allocation | undefined {
    for (let past = 1; past <= count; past++) {
      const at = ((next - past) & (capacity - 1)) * ENTRY_WORDS;
      const start = joinWords(words[at + LOW] as number, words[at + HIGH] as number);
      const sizeBytes = joinWords(words[at + SIZE_LOW] as number, words[at + SIZE_HIGH] as number);
      if (address >= start && address < start + sizeBytes) {
        const goroutine = words[at + GOROUTINE] as number;
        return { address: start, sizeBytes, goroutine, stack: words[at + STACK] as number };
      }
    }
    return undefined;
  }

  function markStacks(mark: (stack: number) => void): void {
    for (let entry = 0; entry < count; entry++) {
      const stack = words[entry * ENTRY_WORDS + STACK] as number;
      if (stack !== EMPTY_STACK) mark(stack);
    }
  }

  return { add, find, markStacks, reset };
}
