/**
 * Clocks against plain arrays: what each component is after any sets, joins and copies, and that nothing is left behind.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { POSITION_LIMIT } from '../../lib/race/cell.js';
import { createClocks, EMPTY_CLOCK } from '../../lib/race/clock.js';
import { slow } from '../support/sizes.js';

/** Slots in use at the start and in the end: across both places where clocks get another level. */
const FIRST_SLOTS = 1;
const LAST_SLOTS = 1100;

interface Held {
  root: number;
  readonly model: number[];
}

/** One for all programs: what clocks there were in one must not show in the next. */
const clocks = createClocks(new TableSpace());

/** Some clocks that are held, each with what it should be. */
class Program {
  readonly clocks = clocks;
  readonly held: Held[] = Array.from({ length: 4 }, () => ({ root: EMPTY_CLOCK, model: [] }));
  slots = 0;

  constructor() {
    this.clocks.reset();
  }

  /** As order.ts makes room for goroutines. */
  grow(count: number): void {
    while (this.slots < Math.min(count, LAST_SLOTS)) {
      if (this.slots === this.clocks.capacity()) {
        this.clocks.deepen();
        for (const clock of this.held) clock.root = this.clocks.deepened(clock.root);
      }
      this.clocks.cover(++this.slots);
    }
  }

  at(index: number): Held {
    return this.held[index % this.held.length] as Held;
  }

  set(index: number, slot: number, position: number): void {
    const clock = this.at(index);
    clock.root = this.clocks.set(clock.root, slot, position);
    clock.model[slot] = Math.max(clock.model[slot] ?? 0, position);
  }

  join(index: number, other: number): void {
    const clock = this.at(index);
    const { root, model } = this.at(other);
    clock.root = this.clocks.join(clock.root, root);
    for (const [slot, position] of model.entries()) {
      if ((position ?? 0) > 0) clock.model[slot] = Math.max(clock.model[slot] ?? 0, position);
    }
  }

  copy(index: number, other: number): void {
    const from = this.at(other);
    const clock = this.at(index);
    const root = this.clocks.retain(from.root);
    this.clocks.release(clock.root);
    clock.root = root;
    clock.model.splice(0, clock.model.length, ...from.model);
  }

  expectModel(): void {
    for (const { root, model } of this.held) {
      const components = Array.from({ length: this.slots }, (_, slot) => this.clocks.get(root, slot));
      expect(components).toEqual(Array.from({ length: this.slots }, (_, slot) => model[slot] ?? 0));
    }
  }

  end(): void {
    for (const { root } of this.held) this.clocks.release(root);
    expect(this.clocks.liveNodes()).toBe(0);
  }
}

describe('clocks', () => {
  it('are what plain arrays are, however many slots come into use', () => {
    const position = fc.oneof(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: POSITION_LIMIT - 2, max: POSITION_LIMIT }),
    );
    const step = fc.record({
      what: fc.constantFrom('set', 'set', 'set', 'join', 'join', 'copy', 'grow'),
      one: fc.nat(3),
      other: fc.nat(3),
      // Low slots mostly, so that clocks have some in common.
      slot: fc.oneof(fc.nat(9), fc.nat(LAST_SLOTS)),
      by: fc.constantFrom(1, 1, 1, 2, 3, 29, 400),
      position,
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (steps) => {
        const program = new Program();
        program.grow(FIRST_SLOTS);
        for (const { what, one, other, slot, by, position } of steps) {
          if (what === 'set') program.set(one, slot % program.slots, position);
          else if (what === 'join') program.join(one, other);
          else if (what === 'copy') program.copy(one, other);
          else program.grow(program.slots + by);
          program.expectModel();
        }
        program.end();
      }),
      { numRuns: slow ? 20 : 100 },
    );
  });
});
