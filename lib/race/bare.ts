/**
 * What a detector has in place of call stacks, history and allocations when it is only asked whether there is a race: how
 * many functions a goroutine is in, and how many positions a slot has had.
 */
import type { Allocations } from './allocations.js';
import { POSITION_LIMIT } from './cell.js';
import { POSITION, STATE_SHIFT } from './goroutine.js';
import { type History, tooManyPositions } from './history.js';
import type { Stacks } from './stack.js';

/** Stacks that are the number of their calls. */
export function createDepths(): Stacks {
  return {
    bytes: () => 0,
    push: (stack) => stack + 1,
    parent: (stack) => stack - 1,
    depth: (stack) => stack,
    pcs: () => [],
    reset: () => undefined,
  };
}

/** Allocations that nobody will ask for. */
export function createForgotten(): Allocations {
  return { add: () => undefined, find: () => undefined, markStacks: () => undefined, reset: () => undefined };
}

/**
 * A history that has forgotten everything.
 * @param state the slots' state (goroutine.ts)
 */
export function createPositions(state: Int32Array): History {
  function pass(slot: number): number {
    const at = (slot << STATE_SHIFT) + POSITION;
    const position = (state[at] as number) + 1;
    if (position > POSITION_LIMIT) throw tooManyPositions();
    state[at] = position;
    return position;
  }

  return {
    bytes: () => 0,
    begin: () => undefined,
    retire: () => undefined,
    pass,
    record: pass,
    find: () => undefined,
    markStacks: () => undefined,
    keep: () => undefined,
    reset: () => undefined,
  };
}
