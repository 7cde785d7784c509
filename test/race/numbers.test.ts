/**
 * Positions that are numbers of events, and what a cell stands for that several accesses were merged into.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { createNumbers, FIRST_NUMBER } from '../../lib/race/bare.js';
import { PLAIN } from '../../lib/race/cell.js';
import { POSITION, STATE_SHIFT } from '../../lib/race/goroutine.js';
import { createAtHand, PC_LOW } from '../../lib/race/history.js';

const SLOT = 1;

function setUp() {
  const state = new Int32Array(2 << STATE_SHIFT);
  const atHand = createAtHand();
  const numbers = createNumbers(new TableSpace(), state, atHand);
  /** The event of that number makes an access, which is merged into an older one's cell if that is given. */
  const access = (number: number, bytes: number, into?: number, granule = 0) => {
    atHand[PC_LOW] = number;
    return into === undefined
      ? numbers.record(SLOT, PLAIN | bytes, 0)
      : numbers.merge(SLOT, PLAIN | bytes, 0, into, granule);
  };
  return { state, atHand, numbers, access };
}

it('are those of the events at hand', () => {
  const { state, atHand, numbers, access } = setUp();
  const position = () => state[(SLOT << STATE_SHIFT) + POSITION];
  expect(access(7, 1)).toBe(7);
  expect(position()).toBe(7);
  expect(access(9, 1, 7)).toBe(9);
  expect(position()).toBe(9);
  atHand[PC_LOW] = 12;
  expect(numbers.pass(SLOT)).toBe(12);
  expect(position()).toBe(12);
});

/** An event with an access to some granules, by their bytes: a new cell there, or merged into the one that there is. */
const accessChoice = fc.record({
  skipped: fc.nat(3),
  pieces: fc.uniqueArray(
    fc.record({ granule: fc.integer({ min: -3, max: 3 }), bytes: fc.integer({ min: 1, max: 255 }) }),
    { selector: ({ granule }) => granule, minLength: 1, maxLength: 3 },
  ),
  merges: fc.boolean(),
});

it('lead to the last access of a cell that touched the bytes in question', () => {
  const { numbers, access } = setUp();
  fc.assert(
    fc.property(fc.array(accessChoice, { maxLength: 60 }), (accesses) => {
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
            access(number, bytes, last.number, granule);
            cell.push({ number, bytes });
          } else {
            access(number, bytes);
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
  const { numbers, access } = setUp();
  const COUNT = 2 ** 20;
  // Each second event is merged into the one before it; and as many again.
  const first = FIRST_NUMBER;
  const last = first + 2 * (2 * COUNT - 1);
  for (let number = first; number <= last; number += 2) {
    access(number, 1);
    access(number + 1, 2, number, 5);
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
