import { afterEach, describe, expect, it } from 'vitest';
import { Heap } from '../../lib/heap/heap.js';
import type { HeapOptions } from '../../lib/heap/mallocinit.js';
import { LazyShadowError } from '../../lib/native/errors.js';
import { AWAY_FROM_V8, codeOf, FaultyMemory, RecordingRace, refusal } from '../support/heap.js';

const MiB = 2 ** 20;
const heaps: Heap[] = [];
function newHeap(os: FaultyMemory, options: HeapOptions = {}): Heap {
  const heap = new Heap({ scavenger: false, hint: AWAY_FROM_V8, ...options }, { os });
  heaps.push(heap);
  return heap;
}
afterEach(() => {
  for (const heap of heaps.splice(0)) heap.release();
});

/** Enough to need every kind of memory: many spans, large blocks, more bitmap. */
function churn(heap: Heap): number[] {
  const blocks: number[] = [];
  for (let i = 0; i < 300; i++) blocks.push(heap.malloc((i * 1237) % 70_000));
  blocks.push(heap.malloc(3 * MiB));
  return blocks;
}

describe.each([
  { form: '64-bit' },
  { form: '64-bit', platform: 'win32' },
  { form: '64-bit', platform: 'darwin', pageShift: 13 },
  { form: '32-bit' },
] as HeapOptions[])('memory that runs out, %j', (options) => {
  it('at each step in the life of a heap leaves it whole, and able to go on', () => {
    const counting = new FaultyMemory();
    const whole = newHeap(counting, options);
    counting.calls = [];
    churn(whole);
    const steps = counting.calls.length + 2;
    whole.release();

    let failures = 0;
    for (let n = 0; n < steps; n++) {
      const os = new FaultyMemory();
      const heap = newHeap(os, options);
      os.refuseNth(n);
      const blocks: number[] = [];
      for (let i = 0; i < 300; i++) {
        const before = os.calls.length;
        const stats = heap.memStats();
        try {
          blocks.push(heap.malloc((i * 1237) % 70_000));
        } catch (error) {
          failures++;
          expect(error).toBeInstanceOf(LazyShadowError);
          expect((error as LazyShadowError).code).toBe('ERR_OUT_OF_MEMORY');
          expect((error as Error).message).toMatch(
            /^runtime: out of memory: cannot allocate \d+-byte block \(\d+ in use\)/,
          );
          expect(os.calls.length).toBeGreaterThan(before);
          expect(heap.memStats()).toMatchObject({ Mallocs: stats.Mallocs, HeapAlloc: stats.HeapAlloc });
          heap.verify();
          blocks.push(heap.malloc((i * 1237) % 70_000)); // memory is back
        }
      }
      for (const block of blocks) heap.free(block);
      heap.flushCaches();
      expect(heap.verify()).toMatchObject({ spansInUse: 0, objects: 0 });
      heap.release();
    }
    // Growth asks twice, so a single refusal is often made good by the second attempt.
    expect(failures).toBeGreaterThanOrEqual(0);
  }, 120_000);

  it('for good makes malloc fail until it comes back', () => {
    const os = new FaultyMemory();
    const heap = newHeap(os, options);
    const blocks = churn(heap);
    os.refuse = (verb) => verb === 'commit' || verb === 'reserve';
    const before = heap.verify();
    let failed = 0;
    for (let i = 0; i < 20; i++) {
      if (codeOf(() => heap.free(heap.malloc(2 * MiB + i * 5000))) === 'ERR_OUT_OF_MEMORY') failed++;
    }
    expect(failed).toBe(20);
    expect(heap.verify()).toEqual(before);
    for (const block of blocks) heap.free(block); // needs no memory
    heap.verify();
    os.refuse = () => false;
    heap.free(heap.malloc(20 * MiB));
    heap.verify();
  });
});

describe('each thing that can run out', () => {
  it.each([
    ['the arena', 'commit', (at: number) => at >= 0 && at < 2 ** 37],
    ['the bitmap', 'commit', (at: number) => at < 0 && at >= -(2 ** 33)],
    ['span records', 'commit', (at: number) => at > 2 ** 37 || at < -(2 ** 33)],
    ['windows', 'open', () => true],
    ['address space', 'reserve', () => true],
  ] as const)('%s', (_what, wanted, matches) => {
    const os = new FaultyMemory();
    const heap = newHeap(os, { platform: 'linux' });
    const blocks: number[] = [];
    os.refuse = (verb, address) => verb === wanted && matches(address - heap.arenaStart);
    let error: unknown;
    try {
      for (let i = 0; i < 20_000; i++) blocks.push(heap.malloc(30_000));
    } catch (e) {
      error = e;
    }
    expect((error as LazyShadowError | undefined)?.code).toBe('ERR_OUT_OF_MEMORY');
    expect((error as LazyShadowError).osCode ?? 12).toBe(12);
    const report = heap.verify();
    expect(report.objects).toBe(blocks.length);
    os.refuse = () => false;
    for (let i = 0; i < 200; i++) blocks.push(heap.malloc(30_000));
    for (const block of blocks) heap.free(block);
    heap.flushCaches();
    expect(heap.verify()).toMatchObject({ spansInUse: 0, spansFree: 1 });
  });

  it('the second attempt asks for just the pages, and they are found although they are few', () => {
    const os = new FaultyMemory();
    const heap = newHeap(os);
    const fill = heap.malloc(MiB - 8 * 4096);
    os.refuse = (verb, _address, size) => verb === 'commit' && size >= MiB;
    const sys = heap.memStats().HeapSys;
    const block = heap.malloc(100_000);
    expect(heap.memStats().HeapSys - sys).toBe(2 * 65_536);
    heap.free(block);
    heap.free(fill);
    heap.verify();
  });

  it('an address space conflict is named', () => {
    const os = new FaultyMemory();
    const heap = newHeap(os, { platform: 'linux' });
    os.code = 'ERR_ADDRESS_TAKEN';
    os.refuse = (verb) => verb === 'reserve';
    expect(() => {
      for (;;) heap.malloc(20 * MiB);
    }).toThrow(/out of memory.*address space conflict: map\(0x/);
    os.refuse = () => false;
    heap.malloc(20 * MiB);
    heap.verify();
  });
});

describe('shadow that cannot be committed', () => {
  it('means that the memory is not handed out', () => {
    const os = new FaultyMemory();
    const race = new RecordingRace();
    const heap = newHeap(os, { race });
    const { arenaUsed } = heap;
    const before = heap.verify();
    race.whenCalled = (hook) => {
      if (hook === 'racemapshadow') throw refusal();
    };
    expect(() => heap.malloc(2 * MiB)).toThrow(
      /out of memory: cannot allocate 2097152-byte block.*mapShadow/,
    );
    expect(heap.arenaUsed).toBe(arenaUsed);
    expect(heap.verify()).toEqual(before);
    race.whenCalled = () => {};
    const block = heap.malloc(2 * MiB);
    heap.bytes(block, 2 * MiB).fill(1);
    heap.verify();
  });

  it('an error that is no lack of memory passes unchanged, and changes nothing either', () => {
    const os = new FaultyMemory();
    const race = new RecordingRace();
    const heap = newHeap(os, { race });
    const before = heap.verify();
    race.whenCalled = (hook) => {
      if (hook === 'racemapshadow') throw new LazyShadowError('ERR_OUT_OF_RANGE', 'no shadow there', {});
    };
    expect(codeOf(() => heap.malloc(2 * MiB))).toBe('ERR_OUT_OF_RANGE');
    expect(heap.verify()).toEqual(before);
  });

  it('nor is a block whose racemalloc fails', () => {
    const os = new FaultyMemory();
    const race = new RecordingRace();
    const heap = newHeap(os, { race });
    for (const size of [100, 100_000]) {
      heap.free(heap.malloc(size));
      const { Mallocs, Frees, HeapAlloc, TotalAlloc } = heap.memStats();
      race.whenCalled = () => {
        throw refusal();
      };
      expect(codeOf(() => heap.malloc(size))).toBe('ERR_OUT_OF_MEMORY');
      expect(heap.memStats()).toMatchObject({ Mallocs, Frees, HeapAlloc, TotalAlloc });
      heap.verify();
      race.whenCalled = () => {};
      const block = heap.malloc(size);
      race.whenCalled = () => {
        throw refusal();
      };
      expect(codeOf(() => heap.free(block))).toBe('ERR_OUT_OF_MEMORY');
      expect(heap.mlookup(block)?.allocated).toBe(true);
      race.whenCalled = () => {};
      heap.free(block);
      heap.verify();
    }
  });
});

it('a heap that cannot be made keeps nothing', () => {
  for (let n = 0; n < 12; n++) {
    const os = new FaultyMemory();
    os.refuseNth(n);
    const code = codeOf(() => newHeap(os, { maxMemBytes: 64 * MiB }));
    expect(['ERR_OUT_OF_MEMORY', 'no error']).toContain(code);
    for (const heap of heaps.splice(0)) heap.release();
    // The addresses are free again.
    const heap = newHeap(new FaultyMemory(), { maxMemBytes: 64 * MiB });
    expect(heap.arenaStart).toBe(AWAY_FROM_V8 + 4 * MiB);
    heap.release();
  }
});
