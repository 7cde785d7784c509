import { describe, expect, it } from 'vitest';
import { Heap } from '../../lib/heap/heap.js';
import { shadowHooks } from '../../lib/heap/shadow-hooks.js';
import { HEAP_WORKLOAD_NAMES, heapSteps } from '../../lib/measure/heap-workloads.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { codeOf } from '../support/heap.js';
import { ARENA } from '../support/sizes.js';

const HEAP_BYTES = 24 * 2 ** 20;

describe.each(HEAP_WORKLOAD_NAMES)('the workload %s', (name) => {
  it('comes from 0 to 1 without falling, does the same each time, and leaves a heap that is whole', () => {
    const runs = [0, 1].map(() => {
      const heap = new Heap({ scavenger: false });
      let accessed = 0;
      const access = (address: number, sizeBytes: number) => {
        if (heap.mlookup(address)?.allocated) accessed += sizeBytes;
      };
      let done = 0;
      let steps = 0;
      for (const now of heapSteps(name)({ heap, access }, HEAP_BYTES)) {
        expect(now).toBeGreaterThanOrEqual(done);
        done = now;
        steps++;
      }
      expect(done).toBe(1);
      expect(steps).toBeGreaterThan(2);
      heap.verify();
      const { TotalAlloc, HeapSys } = heap.memStats();
      expect(HeapSys).toBeGreaterThanOrEqual(HEAP_BYTES);
      heap.release();
      return { accessed, TotalAlloc, steps };
    });
    expect(runs[1]).toEqual(runs[0]);
  });

  it('runs with its shadow mapped, and gives it back with the pages', () => {
    const shadow = new Shadow({ ...ARENA.shadow, policy: 'lazy' });
    const heap = new Heap({
      ...ARENA.heap,
      race: shadowHooks(shadow),
      releaseShadow: true,
      scavenger: false,
    });
    const access = (address: number, sizeBytes: number) => {
      if (!shadow.isMapped(address, sizeBytes)) throw new Error('no shadow');
    };
    for (const _ of heapSteps(name)({ heap, access: name === 'heap-large' ? access : () => {} }, HEAP_BYTES));
    const { HeapSys, HeapReleased } = heap.memStats();
    const used = heap.arenaUsed - heap.arenaStart;
    expect(shadow.mappedBytes(heap.arenaStart, used)).toBe(HeapSys - HeapReleased);
    const { committedBytes, osCommittedBytes } = shadow.stats();
    expect(committedBytes).toBe(osCommittedBytes);
    heap.verify();
    heap.release();
    expect(shadow.mappedBytes(heap.arenaStart, used)).toBe(0);
    shadow.release();
  });
});

it('an unknown name is refused', () => {
  expect(codeOf(() => heapSteps('heap-dance'))).toBe('ERR_INVALID_ARGUMENT');
});
