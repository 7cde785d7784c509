/**
 * Positions that are numbers of events, and what a cell stands for that several accesses were merged into.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { createNumbers, FIRST_NUMBER } from '../../lib/race/bare.js';
import { PLAIN } from '../../lib/race/cell.js';
import { POSITION, STATE_SHIFT } from '../../lib/race/goroutine.js';

const SLOT = 1;

function setUp() {
  const state = new Int32Array(2 << STATE_SHIFT);
  const numbers = createNumbers(new TableSpace(), state);
  const merge = (number: number, bytes: number, into: number, granule: number) =>
    numbers.merge(SLOT, PLAIN | bytes, number, 0, 0, into, granule);
  return { state, numbers, merge };
}

it('are those of the events at hand', () => {
  const { state, numbers, merge } = setUp();
  const position = () => state[(SLOT << STATE_SHIFT) + POSITION];
  expect(numbers.record(SLOT, PLAIN | 1, 7, 0, 0)).toBe(7);
  expect(position()).toBe(7);
  expect(merge(9, 1, 7, 0)).toBe(9);
  expect(position()).toBe(9);
  numbers.now[0] = 12;
  expect(numbers.pass(SLOT)).toBe(12);
  expect(position()).toBe(12);
});

/** An event with an access to some granules, by their bytes: a new cell there, or merged into the one that there is. */
const access = fc.record({
  skipped: fc.nat(3),
  pieces: fc.uniqueArray(
    fc.record({ granule: fc.integer({ min: -3, max: 3 }), bytes: fc.integer({ min: 1, max: 255 }) }),
    { selector: ({ granule }) => granule, minLength: 1, maxLength: 3 },
  ),
  merges: fc.boolean(),
});

it('lead to the last access of a cell that touched the bytes in question', () => {
  const { numbers, merge } = setUp();
  fc.assert(
    fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
      numbers.reset();
      /** For each granule the accesses that its cell stands for, oldest first. */
      const cells = new Map<number, { number: number; bytes: number }[]>();
      let number = FIRST_NUMBER;
      for (const { skipped, pieces, merges } of accesses) {
        number += 1 + skipped;
        for (const { granule, bytes } of pieces) {
          const cell = cells.get(granule) ?? [];
          const last = cell.at(-1);
          if (merges && last !== undefined) {
            merge(number, bytes, last.number, granule);
            cell.push({ number, bytes });
          } else {
            numbers.record(SLOT, PLAIN | bytes, number, 0, 0);
            cells.set(granule, [{ number, bytes }]);
          }
        }
      }
      for (const [granule, cell] of cells) {
        for (let byte = 1; byte < 256; byte <<= 1) {
          const touched = cell.filter(({ bytes }) => (bytes & byte) !== 0);
          if (touched.length === 0) continue;
          const position = cell.at(-1)?.number ?? 0;
          expect(numbers.eventOf(position, byte, granule)).toBe(touched.at(-1)?.number);
        }
      }
    }),
    { numRuns: 500 },
  );
});

it('remember the latest million of merged accesses, in 16 MiB', () => {
  const { numbers, merge } = setUp();
  const COUNT = 2 ** 20;
  // Each second event is merged into the one before it; and as many again.
  const first = FIRST_NUMBER;
  const last = first + 2 * (2 * COUNT - 1);
  for (let number = first; number <= last; number += 2) {
    numbers.record(SLOT, PLAIN | 1, number, 0, 0);
    merge(number + 1, 2, number, 5);
  }
  expect(numbers.bytes()).toBe(16 * COUNT);
  const oldest = last - 2 * (COUNT - 1);
  for (const number of [oldest, oldest + 2, last]) {
    expect(numbers.eventOf(number + 1, 1, 5)).toBe(number);
    expect(numbers.eventOf(number + 1, 2, 5)).toBe(number + 1);
  }
  // One that was forgotten is taken for one that was never merged.
  expect(numbers.eventOf(oldest - 1, 1, 5)).toBe(oldest - 1);
});
