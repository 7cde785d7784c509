import { describe, expect, it } from 'vitest';
import { MaxSmallSize, type PageShift, sizeClasses, sizeToClass } from '../../lib/heap/msize.js';

/**
 * An independent restatement: from every multiple of 8 that is a step, group the steps that give the same span and
 * the same number of objects; each group's largest is a class.
 */
function groups(pageShift: number): { size: number; npages: number }[] {
  const steps: number[] = [8];
  for (let s = 16; s < 128; s += 16) steps.push(s);
  for (let power = 128; power < 2048; power *= 2) {
    for (let i = 0; i < 8; i++) steps.push(power + (i * power) / 8);
  }
  for (let s = 2048; s <= 32768; s += 256) steps.push(s);
  const found = new Map<string, { size: number; npages: number }>();
  for (const size of steps) {
    let npages = 1;
    while (((npages << pageShift) % size) * 8 > npages << pageShift) npages++;
    found.set(`${npages}:${Math.floor((npages << pageShift) / size)}`, { size, npages });
  }
  return [...found.values()].sort((a, b) => a.size - b.size);
}

describe.each([
  [12, 61],
  [13, 67],
] as [PageShift, number][])('size classes at page shift %i', (pageShift, count) => {
  const classes = sizeClasses(pageShift);
  const expected = groups(pageShift);

  it(`are the ${count} of Go`, () => {
    expect(classes.count).toBe(count);
    expect([...classes.classToSize.slice(1)]).toEqual(expected.map(({ size }) => size));
    expect([...classes.classToAllocNpages.slice(1)]).toEqual(expected.map(({ npages }) => npages));
  });

  it('give every size from 0 to 64 KiB the class that Go gives', () => {
    // Go's two tables: by 8 up to 1 KiB, by 128 from there on.
    const byEight: number[] = [];
    const by128: number[] = [];
    let next = 0;
    for (let c = 1; c < count; c++) {
      const size = expected[c - 1]?.size ?? 0;
      for (; next < 1024 && next <= size; next += 8) byEight[next / 8] = c;
      if (next >= 1024) for (; next <= size; next += 128) by128[(next - 1024) / 128] = c;
    }
    for (let size = 0; size <= 64 * 1024; size++) {
      const go =
        size > MaxSmallSize
          ? 0
          : size > 1024 - 8
            ? by128[(size - 1024 + 127) >> 7]
            : byEight[(size + 7) >> 3];
      if (sizeToClass(classes, size) !== go)
        expect.fail(`size ${size}: ${sizeToClass(classes, size)}, Go ${go}`);
    }
  });

  it('leave at most an eighth of each span unused', () => {
    for (let c = 1; c < count; c++) {
      const span = (classes.classToAllocNpages[c] ?? 0) << pageShift;
      expect((span % (classes.classToSize[c] ?? 0)) / span).toBeLessThanOrEqual(1 / 8);
    }
  });

  it('round up by at most an eighth, but where a smaller class would get no more objects into its span', () => {
    for (let size = 129; size <= MaxSmallSize; size++) {
      const c = sizeToClass(classes, size);
      const blockBytes = classes.classToSize[c] ?? 0;
      const span = (classes.classToAllocNpages[c] ?? 0) << pageShift;
      const step = size > 2048 ? 256 : 2 ** (Math.ceil(Math.log2(size)) - 1) / 8;
      const rounded = Math.ceil(size / step) * step;
      expect((rounded - size) / rounded).toBeLessThan(1 / 8);
      // What is beyond that costs nothing: as many of either size fit.
      if (blockBytes > rounded) expect(Math.floor(span / rounded)).toBe(Math.floor(span / blockBytes));
    }
  });

  it('move 2 to 32 objects at a time, 64 KiB if that lies between', () => {
    for (let c = 1; c < count; c++) {
      const size = classes.classToSize[c] ?? 0;
      expect(classes.classToTransferCount[c]).toBe(Math.min(32, Math.max(2, Math.floor(65536 / size))));
    }
  });
});

it('has the sizes that are widely known', () => {
  const sizes = [...sizeClasses(13).classToSize];
  expect(sizes.slice(0, 12)).toEqual([0, 8, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160]);
  expect(sizes.at(-1)).toBe(32768);
});
