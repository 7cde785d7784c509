import { afterEach, describe, expect, it, vi } from 'vitest';
import { Heap } from '../../lib/heap/heap.js';
import type { HeapOptions, HeapSeams } from '../../lib/heap/mallocinit.js';
import { codeOf, FaultyMemory, RecordingRace, refusal } from '../support/heap.js';
import { windows } from '../support/proc.js';

const MiB = 2 ** 20;
const heaps: Heap[] = [];
function newHeap(options: HeapOptions = {}, seams: HeapSeams = {}): Heap {
  const heap = new Heap({ scavenger: false, ...options }, seams);
  heaps.push(heap);
  return heap;
}
afterEach(() => {
  vi.useRealTimers();
  for (const heap of heaps.splice(0)) heap.release();
});

describe.each(['linux', 'darwin', 'win32'] as const)('the scavenger in the way of %s', (platform) => {
  it('gives free pages back, counts them, and the next block there is zero', () => {
    const heap = newHeap({ platform });
    const block = heap.malloc(20 * MiB);
    heap.bytes(block, 20 * MiB).fill(0xee);
    const used = heap.verify();
    heap.free(block);
    const given = heap.scavenge();
    const stats = heap.memStats();
    expect(given).toBe(stats.HeapIdle);
    expect(stats.HeapReleased).toBe(stats.HeapIdle);
    const report = heap.verify();
    // On Windows the ways of the others purge by writing zeros, which stay resident.
    if (!windows || platform === 'win32') {
      expect(used.residentBytes - report.residentBytes).toBeGreaterThanOrEqual(20 * MiB);
    }
    // Only Windows gives the commit charge back.
    const charge = platform === 'win32' ? stats.Sys - stats.HeapReleased : stats.Sys;
    expect(report.osCommittedBytes).toBe(charge);
    expect(heap.scavenge()).toBe(0);

    const again = heap.malloc(10 * MiB);
    expect(again).toBe(block - (block - heap.arenaStart));
    expect(heap.memStats().HeapReleased).toBe(0);
    expect(Buffer.compare(heap.bytes(again, 10 * MiB), Buffer.alloc(10 * MiB))).toBe(0);
    heap.verify();
  });

  it('leaves what is young, and what is in use', () => {
    let now = 1000;
    const heap = newHeap({ platform }, { now: () => now });
    const [a, b, c] = [heap.malloc(MiB), heap.malloc(MiB), heap.malloc(MiB)];
    heap.free(a as number);
    now += 200_000;
    heap.free(c as number);
    now += 100_000;
    expect(heap.scavengeOld(300_000)).toBeLessThan(3 * MiB);
    expect(heap.memStats().HeapReleased).toBeGreaterThanOrEqual(MiB);
    const released = heap.memStats().HeapReleased;
    now += 200_000;
    heap.scavengeOld(300_000);
    expect(heap.memStats().HeapReleased).toBeGreaterThanOrEqual(released + MiB);
    heap.verify();
    heap.free(b as number);
    heap.verify();
  });
});

it('rounds inwards where the system has larger pages than the heap', () => {
  const os = new FaultyMemory(65_536);
  const heap = newHeap({ platform: 'win32' }, { os });
  const blocks = Array.from({ length: 100 }, () => heap.malloc(36 * 1024));
  heap.scavenge();
  os.calls = [];
  for (const [i, block] of blocks.entries()) if (i % 5 !== 0) heap.free(block);
  const given = heap.scavenge();
  expect(given).toBeGreaterThan(0);
  const parts = os.calls.filter(({ verb }) => verb === 'decommit');
  for (const { address, sizeBytes } of parts) {
    expect(address % 65_536).toBe(0);
    expect(sizeBytes % 65_536).toBe(0);
  }
  expect(parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeGreaterThanOrEqual(given);
  heap.verify();
  for (let i = 0; i < 100; i++) heap.bytes(heap.malloc(20_000), 20_000).fill(1);
  heap.verify();
});

it('a commit that is refused when pages are wanted again leaves them given back', () => {
  const os = new FaultyMemory();
  const heap = newHeap({ platform: 'win32' }, { os });
  heap.free(heap.malloc(5 * MiB));
  heap.scavenge();
  const before = heap.verify();
  os.refuse = (verb) => verb === 'commit';
  expect(codeOf(() => heap.malloc(MiB))).toBe('ERR_OUT_OF_MEMORY');
  expect(heap.verify()).toEqual(before);
  os.refuse = () => false;
  heap.free(heap.malloc(MiB));
  heap.verify();
});

describe('the timer', () => {
  it('looks every minute, gives back what was free for five, and stops with the heap', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    let now = 0;
    const heap = newHeap({ scavenger: true }, { now: () => now });
    heap.free(heap.malloc(5 * MiB));
    for (let minute = 1; minute <= 4; minute++) {
      now = minute * 60_000;
      vi.advanceTimersByTime(60_000);
      expect(heap.memStats().HeapReleased).toBe(0);
    }
    now = 300_000;
    vi.advanceTimersByTime(60_000);
    expect(heap.memStats().HeapReleased).toBeGreaterThanOrEqual(5 * MiB);
    heap.verify();
    heap.release();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('shadow of scavenged pages', () => {
  it('stays by default, as in Go', () => {
    const race = new RecordingRace();
    const heap = newHeap({ race });
    heap.free(heap.malloc(3 * MiB));
    heap.scavenge();
    expect(race.ranges('raceunmapshadow')).toEqual([]);
  });

  it('goes with them by option, and is mapped again before the pages are used', () => {
    const race = new RecordingRace();
    const heap = newHeap({ race, releaseShadow: true });
    const block = heap.malloc(3 * MiB);
    heap.free(block);
    heap.scavenge();
    const unmapped = race.ranges('raceunmapshadow');
    expect(unmapped.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(heap.memStats().HeapReleased);
    race.calls = [];
    heap.malloc(2 * MiB);
    expect(race.calls.map(({ hook }) => hook)).toEqual(['racemapshadow', 'racemalloc']);
    // All that was given back is mapped again, for the rest of the span is not given back any more.
    expect(race.ranges('racemapshadow')).toEqual(
      unmapped.map((range) => ({
        hook: 'racemapshadow',
        address: range.address,
        sizeBytes: range.sizeBytes,
      })),
    );
    heap.verify();
  });

  it('that cannot be mapped again means that the pages are not handed out', () => {
    for (const platform of ['linux', 'win32'] as const) {
      const race = new RecordingRace();
      const heap = newHeap({ race, releaseShadow: true, platform });
      heap.free(heap.malloc(3 * MiB));
      heap.scavenge();
      const before = heap.verify();
      race.whenCalled = () => {
        throw refusal();
      };
      expect(codeOf(() => heap.malloc(2 * MiB))).toBe('ERR_OUT_OF_MEMORY');
      expect(heap.verify()).toEqual(before);
      race.whenCalled = () => {};
      heap.free(heap.malloc(2 * MiB));
      heap.verify();
      heap.release();
    }
  });

  it('that cannot be given back is told, and the pages went all the same', () => {
    const race = new RecordingRace();
    const heap = newHeap({ race, releaseShadow: true });
    heap.free(heap.malloc(3 * MiB));
    race.whenCalled = (hook) => {
      if (hook === 'raceunmapshadow') throw refusal();
    };
    expect(codeOf(() => heap.scavenge())).toBe('ERR_OS');
    const stats = heap.memStats();
    expect(stats.HeapReleased).toBe(stats.HeapIdle);
    heap.verify();
    race.whenCalled = () => {};
  });
});
