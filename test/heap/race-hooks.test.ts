import { afterEach, describe, expect, it } from 'vitest';
import { Heap } from '../../lib/heap/heap.js';
import type { HeapOptions } from '../../lib/heap/mallocinit.js';
import { codeOf, FaultyMemory, RecordingRace } from '../support/heap.js';

const heaps: Heap[] = [];
function newHeap(options: HeapOptions, os = new FaultyMemory()): Heap {
  const heap = new Heap({ scavenger: false, ...options }, { os });
  heaps.push(heap);
  return heap;
}
afterEach(() => {
  for (const heap of heaps.splice(0)) heap.release();
});

describe.each(['64-bit', '32-bit'] as const)('the race runtime, %s form', (form) => {
  it('hears of all heap memory, each byte once, in order', () => {
    const race = new RecordingRace();
    const heap = newHeap({ form, race });
    for (let i = 0; i < 3000; i++) heap.malloc((i * 7919) % 100_000);
    let at = heap.arenaStart;
    for (const { hook, address, sizeBytes } of race.calls) {
      if (hook !== 'racemapshadow') continue;
      expect(address).toBe(at);
      at += sizeBytes;
    }
    expect(at).toBe(heap.arenaUsed);
  });

  it('hears of memory after it and its bitmap are mapped, and before any of it is handed out', () => {
    const race = new RecordingRace();
    const os = new FaultyMemory();
    const made: { heap?: Heap } = {};
    race.whenCalled = (hook, address, sizeBytes) => {
      if (hook !== 'racemapshadow' || made.heap === undefined) return;
      const { heap } = made;
      const commits = os.calls.filter(({ verb }) => verb === 'commit');
      // The last thing committed is bitmap, which lies below the arena, if any was needed; the memory came before.
      const memory = commits.findLastIndex(
        (call) => call.address === address && call.sizeBytes === sizeBytes,
      );
      expect(memory).toBeGreaterThanOrEqual(0);
      for (const later of commits.slice(memory + 1)) expect(later.address).toBeLessThan(heap.arenaStart);
      expect(heap.arenaUsed).toBe(address + sizeBytes);
      expect(heap.mlookup(address)).toBeNull();
    };
    const heap = newHeap({ form, race }, os);
    made.heap = heap;
    for (let i = 0; i < 200; i++) heap.malloc((i * 7919) % 300_000);
    expect(race.ranges('racemapshadow').length).toBeGreaterThan(5);
  });

  it('hears racemalloc with the size of the class, and racefree before the block is free', () => {
    const race = new RecordingRace();
    const heap = newHeap({ form, race });
    race.calls = [];
    const small = heap.malloc(100);
    const large = heap.malloc(33_000);
    const notes = race.calls.filter(({ hook }) => hook === 'racemalloc');
    expect(notes).toEqual([
      { hook: 'racemalloc', address: small, sizeBytes: 112 },
      { hook: 'racemalloc', address: large, sizeBytes: 36_864 },
    ]);
    race.calls = [];
    race.whenCalled = (_hook, address) => expect(heap.mlookup(address)?.allocated).toBe(true);
    heap.free(small);
    heap.free(large);
    race.whenCalled = () => {};
    expect(race.calls).toEqual([
      { hook: 'racefree', address: small, sizeBytes: 112 },
      { hook: 'racefree', address: large, sizeBytes: 36_864 },
    ]);
    heap.verify();
  });
});

it('raceinit maps the data segment first of all, in whole pages', () => {
  const race = new RecordingRace();
  newHeap({ race, dataSegment: { noptrdata: 0x40_1234, enoptrbss: 0x40_5001 } });
  expect(race.calls[0]).toEqual({ hook: 'racemapshadow', address: 0x40_1000, sizeBytes: 0x5000 });
  expect(race.calls[1]?.hook).toBe('racemapshadow');
});

it('a released heap takes its shadow along', () => {
  const race = new RecordingRace();
  const heap = newHeap({ race });
  heap.malloc(5 * 2 ** 20);
  const { arenaStart, arenaUsed } = heap;
  heap.release();
  expect(race.calls.at(-1)).toEqual({
    hook: 'raceunmapshadow',
    address: arenaStart,
    sizeBytes: arenaUsed - arenaStart,
  });
});

it('a hook that calls the heap that called it is refused, and the heap goes on', () => {
  const race = new RecordingRace();
  const heap = newHeap({ race });
  const block = heap.malloc(8);
  const codes: string[] = [];
  race.whenCalled = (hook, address) => {
    for (const call of [
      () => heap.malloc(8),
      () => heap.free(block),
      () => heap.scavenge(),
      () => heap.flushCaches(),
      () => heap.release(),
    ]) {
      codes.push(codeOf(call));
    }
    if (hook === 'racemapshadow') expect(heap.mlookup(address)).toBeNull();
  };
  heap.malloc(2 ** 21);
  race.whenCalled = () => {};
  expect(new Set(codes)).toEqual(new Set(['ERR_INVALID_USE']));
  heap.free(block);
  heap.verify();
});
