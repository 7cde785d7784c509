import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { createStacks, EMPTY_STACK, type MarkRoots } from '../../lib/race/stack.js';

const step = fc.record({
  goroutine: fc.nat(2),
  // Few calls, which come again in one order or another; or many, so that nodes have to be reclaimed.
  pc: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 2 ** 20 })),
  high: fc.constantFrom(0, 0, 0, 0, 0x7fff),
  kind: fc.constantFrom('call', 'call', 'call', 'return', 'return', 'keep', 'burst'),
});

/** One for all: what one test called must not show in the next. */
let roots: MarkRoots;
const stacks = createStacks(new TableSpace(), (mark) => roots(mark));

/** No stacks yet, and somebody who marks them. */
function begin(owner: MarkRoots): void {
  stacks.reset();
  roots = owner;
}

describe('stacks', () => {
  it('are what was called, and one number each as long as somebody uses it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.boolean(), (steps, mixed) => {
        const current = [EMPTY_STACK, EMPTY_STACK, EMPTY_STACK];
        const plain: number[][] = [[], [], []];
        const kept = new Map<number, string>();
        begin((mark) => [...current, ...kept.keys()].forEach(mark));
        const call = (goroutine: number, pc: number, high: number) => {
          current[goroutine] = stacks.push(current[goroutine] as number, pc, high);
          plain[goroutine]?.unshift(high * 2 ** 32 + pc);
        };
        for (const { goroutine, pc, high, kind } of steps) {
          const calls = plain[goroutine] as number[];
          if (kind === 'call') call(goroutine, pc, mixed ? high : 0);
          else if (kind === 'burst') {
            // More stacks than the first table holds, nobody's when they have returned.
            for (let i = 0; i < 300; i++) {
              const before = current[goroutine] as number;
              call(goroutine, pc * 1000 + i, mixed ? high : 0);
              expect(stacks.parent(current[goroutine] as number)).toBe(before);
              current[goroutine] = before;
              calls.shift();
            }
          } else if (kind === 'keep') kept.set(current[goroutine] as number, calls.join());
          else if (calls.length > 0) {
            current[goroutine] = stacks.parent(current[goroutine] as number);
            calls.shift();
          }
          expect(stacks.pcs(current[goroutine] as number)).toEqual(calls);
        }
        for (const [stack, pcs] of kept) expect(stacks.pcs(stack).join()).toBe(pcs);
        expect(new Set(kept.values()).size).toBe(kept.size);
      }),
      { numRuns: 300 },
    );
  });

  it('take no more memory for calls that come again and again', () => {
    let held = EMPTY_STACK;
    begin((mark) => mark(held));
    const bytes = () => stacks.bytes();
    held = stacks.push(EMPTY_STACK, 1, 0);
    const before = bytes();
    for (let round = 0; round < 100; round++) for (let pc = 0; pc < 10_000; pc++) stacks.push(held, pc, 0);
    expect(bytes()).toBe(before);
  });

  it('ask an owner with a long past for its marks less often, and take memory for that in proportion to it', () => {
    const MARKS = 100_000;
    let asked = 0;
    begin((mark) => {
      asked++;
      for (let i = 0; i < MARKS; i++) mark(1);
    });
    for (let pc = 1; pc <= 200_000; pc++) stacks.push(EMPTY_STACK, pc, 0);
    // With a table of 1024 nodes it would be 200 times.
    expect(asked).toBeLessThan(20);
    // 28 bytes for each node and its places in the table, and twice an eighth of a node for each mark.
    expect(stacks.bytes()).toBeLessThan((MARKS / 4) * 28);
  });
});
