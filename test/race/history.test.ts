import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { PLAIN } from '../../lib/race/cell.js';
import { ENTRY, POSITION, STATE_SHIFT } from '../../lib/race/goroutine.js';
import { createAtHand, createHistory, type PastAccess } from '../../lib/race/history.js';

const SLOTS = 4;

const atHand = createAtHand();

/** A slot's state, and every access that it made. */
class Plain {
  readonly accesses = new Map<number, PastAccess & { readonly merged: number }>();
  running = false;
}

function find(
  plain: Plain,
  position: number,
  bytes: number,
  now: number,
  limit: number,
): PastAccess | undefined {
  for (let at = position; at > 0 && now - at < limit;) {
    const access = plain.accesses.get(at);
    if (access === undefined) return undefined;
    const { merged, ...past } = access;
    if ((past.bytes & bytes) !== 0) return past;
    at = merged;
  }
  return undefined;
}

const command = fc.record({
  slot: fc.nat(SLOTS - 1),
  kind: fc.constantFrom('access', 'access', 'access', 'pass', 'merge', 'end', 'many'),
  bytes: fc.integer({ min: 1, max: 255 }),
  pcLow: fc.integer(),
  pcHigh: fc.constantFrom(0, 0, 0, 0x7fff, 0xffff),
  stack: fc.oneof(fc.nat(1000), fc.nat(2 ** 31 - 1)),
});

describe('history', () => {
  it('knows what a plain list of all accesses knows, as far back as it is asked to', () => {
    const limits = fc.constantFrom(1, 16, 100, 1024, 32_768);
    const state = new Int32Array(SLOTS << STATE_SHIFT);
    // One for all: what it knew of one program must not show in the next.
    const history = createHistory(new TableSpace(), state, atHand);
    fc.assert(
      fc.property(limits, fc.array(command, { maxLength: 60 }), (limit, commands) => {
        history.reset();
        history.keep(limit);
        state.fill(0);
        const slots = Array.from({ length: SLOTS }, () => new Plain());
        const position = (slot: number) => state[(slot << STATE_SHIFT) + POSITION] as number;

        const access = (slot: number, { bytes, pcLow, pcHigh, stack }: PastAccess, merged: number) => {
          const word = PLAIN | bytes;
          atHand.set([pcLow, pcHigh]);
          const made =
            merged === 0 ? history.record(slot, word, stack) : history.merge(slot, word, stack, merged, 0);
          expect(made).toBe(position(slot));
          slots[slot]?.accesses.set(made, { bytes, pcLow, pcHigh, stack, merged });
        };
        for (const { slot, kind, ...past } of commands) {
          const plain = slots[slot] as Plain;
          if (!plain.running) {
            (state[(slot << STATE_SHIFT) + POSITION] as number)++;
            history.begin(slot);
            plain.running = true;
          }
          const before = position(slot);
          if (kind === 'access') access(slot, past, 0);
          else if (kind === 'merge') access(slot, past, plain.accesses.has(before) ? before : 0);
          else if (kind === 'pass') expect(history.pass(slot)).toBe(before + 1);
          else if (kind === 'many') for (let i = 0; i < 700; i++) access(slot, { ...past, pcLow: i }, 0);
          else {
            history.retire(slot);
            plain.running = false;
          }
        }

        slots.forEach((plain, slot) => {
          const now = position(slot);
          for (const at of plain.accesses.keys())
            for (const bytes of [1, 0x80, 0xff])
              expect(history.find(slot, at, bytes, now)).toEqual(find(plain, at, bytes, now, limit));
        });
        // All that can still be asked for is marked, and nothing that was never used.
        const marked = new Set<number>();
        history.markStacks((stack) => marked.add(stack));
        const used = new Set(
          slots.flatMap(({ accesses }) => [...accesses.values()].map(({ stack }) => stack)),
        );
        for (const stack of marked) expect(used.has(stack)).toBe(true);
        slots.forEach((plain, slot) => {
          for (const [at, { stack }] of plain.accesses)
            if (stack !== 0 && position(slot) - at < limit) expect(marked.has(stack)).toBe(true);
        });
      }),
      { numRuns: 300 },
    );
  });

  it('forgets finished goroutines when they hold more than 4 Mi entries, the longest finished first', () => {
    const state = new Int32Array(3 << STATE_SHIFT);
    const history = createHistory(new TableSpace(), state, atHand);
    history.keep(2 ** 22);
    const made: number[] = [];
    for (let slot = 0; slot < 3; slot++) {
      history.begin(slot);
      atHand.set([7, 0]);
      made.push(history.record(slot, PLAIN | 1, 9));
      for (let i = 0; i < 2 ** 21 - 4096; i++) history.pass(slot);
    }
    const known = () =>
      made.map(
        (at, slot) => history.find(slot, at, 1, state[(slot << STATE_SHIFT) + POSITION] as number)?.pcLow,
      );
    history.retire(0);
    history.retire(1);
    expect(known()).toEqual([7, 7, 7]);
    const bytes = history.bytes();
    history.retire(2);
    expect(known()).toEqual([undefined, 7, 7]);
    // What it had goes to the next that needs it, and the slot begins anew.
    (state[POSITION] as number)++;
    history.begin(0);
    atHand.set([5, 0]);
    const again = history.record(0, PLAIN | 2, 9);
    for (let i = 0; i < 100_000; i++) history.pass(0);
    expect(history.find(0, again, 2, state[POSITION] as number)).toMatchObject({ pcLow: 5, stack: 9 });
    expect(history.bytes()).toBe(bytes);
    expect(state[ENTRY]).toBeGreaterThanOrEqual(0);
  });

  it('takes 8 bytes an access', () => {
    const state = new Int32Array(1 << STATE_SHIFT);
    const history = createHistory(new TableSpace(), state, atHand);
    history.keep(2 ** 20);
    history.begin(0);
    for (let i = 0; i < 2 ** 20; i++) history.record(0, PLAIN | 1, 1);
    expect(history.bytes()).toBeLessThan(8.3 * 2 ** 20);
    const bytes = history.bytes();
    // From there on pages are used again.
    for (let i = 0; i < 2 ** 20; i++) history.record(0, PLAIN | 1, 1);
    expect(history.bytes() - bytes).toBeLessThan(2 ** 18);
  });
});
