import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TouchedMemory } from '../../lib/trace/touched.js';

/** The same by hand: a set of granules. */
function byHand(touches: readonly (readonly [number, number])[]) {
  const granules = new Set<number>();
  for (const [address, size] of touches)
    for (let byte = address; byte < address + size; byte++) granules.add(Math.floor(byte / 8));
  const pages = new Set([...granules].map((granule) => Math.floor(granule / 512)));
  return { sizeBytes: granules.size * 8, pages: pages.size };
}

describe('TouchedMemory', () => {
  it('counts what a set of granules counts', () => {
    // Addresses and sizes that meet each other and the edges of pages often.
    const touch = fc.tuple(
      fc.oneof(
        fc.nat(40_000),
        fc.nat(9).map((page) => page * 4096),
        fc.nat(9).map((page) => page * 4096 + 4095),
      ),
      fc.oneof(fc.constantFrom(0, 1, 8, 4096, 4097, 8192), fc.nat(20_000)),
    );
    fc.assert(
      fc.property(fc.array(touch, { maxLength: 12 }), (touches) => {
        const touched = new TouchedMemory();
        for (const [address, size] of touches) touched.touch(address, size);
        expect({ sizeBytes: touched.sizeBytes(), pages: touched.pageCount() }).toEqual(byHand(touches));
        expect(touched.complete).toBe(true);
      }),
    );
  });

  it('counts all the address space at once, and what lies in it once', () => {
    const touched = new TouchedMemory();
    touched.touch(0xc000000000, 8);
    touched.touch(0, 2 ** 48);
    touched.touch(0xc000000000, 2 ** 40);
    expect(touched.sizeBytes()).toBe(2 ** 48);
    expect(touched.pageCount()).toBe(2 ** 36);
  });

  it('merges ranges as they come, whatever their order', () => {
    const touched = new TouchedMemory();
    for (let i = 0; i < 20_000; i++) touched.touch(((i * 7919) % 10_000) * 8192, 4096);
    expect(touched.sizeBytes()).toBe(10_000 * 4096);
    for (let i = 0; i < 10_000; i++) touched.touch(i * 8192 + 4096, 4096);
    expect(touched.sizeBytes()).toBe(10_000 * 8192);
    expect(touched.complete).toBe(true);
  });

  it('stays bounded, and says when it does not count all', () => {
    const inPlaces = new TouchedMemory();
    for (let page = 0; page < 2 ** 20; page++) inPlaces.touch(page * 4096 * 3, 1);
    expect(inPlaces.complete).toBe(true);
    inPlaces.touch(1, 1);
    expect(inPlaces.complete).toBe(true);
    inPlaces.touch(4096, 1);
    expect(inPlaces.complete).toBe(false);
    expect(inPlaces.sizeBytes()).toBe(2 ** 20 * 8);
  });
});
