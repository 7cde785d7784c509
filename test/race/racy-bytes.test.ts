import { expect, it } from 'vitest';
import { RacyBytes } from '../../lib/race/racy-bytes.js';

const HEAP = 0xc0_0000_0000;

it('gives the bytes that were added, ascending, each once', () => {
  const bytes = new RacyBytes();
  for (const [address, mask] of [
    [HEAP + 4096, 0b1000_0001],
    [HEAP + 4088, 0b1],
    [8, 0b10],
    [HEAP + 4096, 0b1000_0010],
    [2 ** 48 - 8, 0b1000_0000],
  ] as const) {
    bytes.add(address, mask);
  }
  expect(bytes.addresses()).toEqual([9, HEAP + 4088, HEAP + 4096, HEAP + 4097, HEAP + 4103, 2 ** 48 - 1]);
  expect(bytes.overlaps(HEAP + 4096, 0b111)).toBe(true);
  expect(bytes.overlaps(HEAP + 4096, 0b100)).toBe(false);
  expect(bytes.overlaps(HEAP + 8192, 0b1)).toBe(false);
});

it('holds more granules than a Map can', () => {
  const bytes = new RacyBytes();
  const granules = 2 ** 24 + 1000;
  for (let granule = 0; granule < granules; granule++) bytes.add(HEAP + 8 * granule, 1);
  expect(bytes.overlaps(HEAP + 8 * (granules - 1), 1)).toBe(true);
});
