/**
 * The latest allocations, held against a list that forgets nothing.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { type Allocation, type Allocations, createAllocations } from '../../lib/race/allocations.js';

/** Allocations that are remembered. */
const ENTRIES = 2 ** 16;
const HEAP = 0xc0_0000_0000;

function add(allocations: Allocations, { address, sizeBytes, goroutine, stack }: Allocation): void {
  allocations.add(address | 0, Math.floor(address / 2 ** 32), sizeBytes, goroutine, stack);
}

it('The latest allocation of an address is found, whatever its size', () => {
  const allocations = createAllocations(new TableSpace());
  const allocation = fc.record({
    address: fc.oneof(
      fc.integer({ min: HEAP, max: HEAP + 64 }),
      fc.maxSafeNat().map((n) => n % 2 ** 48),
    ),
    sizeBytes: fc.oneof(fc.nat(32), fc.integer({ min: 2 ** 31 - 2, max: 2 ** 33 })),
    goroutine: fc.nat(2 ** 24),
    stack: fc.nat(2 ** 26),
  });
  fc.assert(
    fc.property(fc.array(allocation, { maxLength: 40 }), fc.array(fc.nat(80)), (all, offsets) => {
      allocations.reset();
      for (const each of all) add(allocations, each);
      for (const address of [...offsets.map((offset) => HEAP + offset), ...all.map((each) => each.address)]) {
        const latest = all.findLast(
          (each) => address >= each.address && address < each.address + each.sizeBytes,
        );
        expect(allocations.find(address)).toEqual(latest);
      }
      const marked: number[] = [];
      allocations.markStacks((stack) => marked.push(stack));
      expect(marked).toEqual(all.map(({ stack }) => stack).filter((stack) => stack !== 0));
    }),
  );
});

it('As many are remembered as the ring is long, in memory that grows with them', () => {
  const allocations = createAllocations(new TableSpace());
  const nth = (n: number): Allocation => ({
    address: HEAP + 16 * n,
    sizeBytes: 16,
    goroutine: 1,
    stack: n + 1,
  });
  for (let n = 0; n < ENTRIES; n++) add(allocations, nth(n));
  expect(allocations.find(nth(0).address)).toEqual(nth(0));
  add(allocations, nth(ENTRIES));
  expect(allocations.find(nth(0).address)).toBe(undefined);
  expect(allocations.find(nth(1).address)).toEqual(nth(1));
  expect(allocations.find(nth(ENTRIES).address + 15)).toEqual(nth(ENTRIES));
  let marked = 0;
  allocations.markStacks(() => marked++);
  expect(marked).toBe(ENTRIES);
  allocations.reset();
  expect(allocations.find(nth(1).address)).toBe(undefined);
});
