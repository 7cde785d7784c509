/**
 * Random steps against a simple model: blocks never overlap, come zeroed, keep their contents; the statistics are
 * right; verify() is clean; and in the end everything has coalesced. LAZYSHADOW_SEED repeats a run.
 */
import { randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Heap } from '../../lib/heap/heap.js';
import type { HeapOptions } from '../../lib/heap/mallocinit.js';
import { nativeMemory } from '../../lib/heap/os.js';
import { codeOf, RecordingRace } from '../support/heap.js';
import { random } from '../support/random.js';

const WINDOW_BYTES = 2 ** 29;
const MOST_LIVE_BYTES = 48 * 2 ** 20;

interface Live {
  readonly address: number;
  readonly sizeBytes: number;
  readonly fill: number;
}

function randomSize(next: () => number): number {
  const kind = next();
  if (kind < 0.6) return Math.floor(next() * 256);
  if (kind < 0.9) return Math.floor(next() * 4096);
  if (kind < 0.985) return Math.floor(next() * 33_000);
  if (kind < 0.999) return Math.floor(next() * 300_000);
  return Math.floor(next() * 3_000_000);
}

function run(steps: number, options: HeapOptions, seed: number): void {
  const next = random(seed);
  const heap = new Heap({ scavenger: false, procs: 3, ...options });
  const windows = nativeMemory().newWindows();
  const memory = new Uint8Array(windows.open(heap.arenaStart, WINDOW_BYTES));
  const owned = new Uint8Array(WINDOW_BYTES / 8); // by 8 bytes: 1 if some block has them
  const zeros = new Uint8Array(4 * 2 ** 20);
  const live: Live[] = [];
  let liveBytes = 0;
  let mallocs = 1;
  let frees = 1;
  let grow = true;

  const malloc = (): void => {
    const size = randomSize(next);
    const address = heap.malloc(size);
    const block = heap.mlookup(address);
    if (block === null || block.base !== address || block.sizeBytes < size)
      throw new Error(`bad block for ${size}`);
    const { sizeBytes } = block;
    const off = address - heap.arenaStart;
    if (off < 0 || off + sizeBytes > heap.arenaUsed - heap.arenaStart) throw new Error('outside the arena');
    const granules = owned.subarray(off / 8, (off + sizeBytes) / 8);
    if (granules.includes(1)) throw new Error(`overlap at ${address.toString(16)}`);
    granules.fill(1);
    const bytes = memory.subarray(off, off + sizeBytes);
    if (Buffer.compare(bytes, zeros.subarray(0, sizeBytes)) !== 0) throw new Error(`not zero: ${size} bytes`);
    const fill = 1 + Math.floor(next() * 255);
    bytes.fill(fill);
    live.push({ address, sizeBytes, fill });
    liveBytes += sizeBytes;
    mallocs++;
  };

  const free = (): void => {
    const index = Math.floor(next() * live.length);
    const { address, sizeBytes, fill } = live[index] as Live;
    const last = live.pop() as Live;
    if (index < live.length) live[index] = last;
    const off = address - heap.arenaStart;
    const bytes = memory.subarray(off, off + sizeBytes);
    const kept =
      bytes[0] === fill && Buffer.compare(bytes.subarray(1), bytes.subarray(0, sizeBytes - 1)) === 0;
    if (!kept) throw new Error(`contents lost at ${address.toString(16)}`);
    owned.fill(0, off / 8, (off + sizeBytes) / 8);
    if (next() < 0.01) {
      const inner = address + 1 + Math.floor(next() * (sizeBytes - 1));
      if (codeOf(() => heap.free(inner)) !== 'ERR_NOT_ALLOCATED')
        throw new Error('an interior pointer was freed');
    }
    heap.free(address);
    if (next() < 0.01 && codeOf(() => heap.free(address)) !== 'ERR_NOT_ALLOCATED')
      throw new Error('freed twice');
    liveBytes -= sizeBytes;
    frees++;
  };

  try {
    for (let step = 1; step <= steps; step++) {
      if (liveBytes > MOST_LIVE_BYTES) grow = false;
      else if (liveBytes < MOST_LIVE_BYTES / 8) grow = true;
      const chance = next();
      if (chance < 0.0002) heap.scavenge();
      else if (chance < 0.001) heap.proc = Math.floor(next() * 3);
      else if (live.length === 0 || next() < (grow ? 0.6 : 0.4)) malloc();
      else free();
      if (step % Math.floor(steps / 12) === 0) {
        heap.verify();
        const stats = heap.memStats();
        expect(stats).toMatchObject({
          Mallocs: mallocs,
          Frees: frees,
          HeapObjects: live.length,
          Alloc: liveBytes,
        });
      }
    }
    while (live.length > 0) free();
    heap.flushCaches();
    expect(heap.verify()).toMatchObject({ spansInUse: 0, spansFree: 1, objects: 0, cachedObjects: 0 });
    expect(heap.memStats()).toMatchObject({ Mallocs: mallocs, Frees: frees, Alloc: 0, HeapInuse: 0 });
    heap.scavenge();
    expect(heap.memStats().HeapReleased).toBe(heap.memStats().HeapSys);
    heap.verify();
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    windows.close();
    heap.release();
  }
}

describe('a million random steps', () => {
  const { LAZYSHADOW_SEED } = process.env;
  const seed = Number(LAZYSHADOW_SEED ?? randomInt(2 ** 32));
  const race = () => new RecordingRace();
  it.each([
    [1_000_000, {}],
    [100_000, { pageShift: 13 }],
    [100_000, { platform: 'win32' }],
    [100_000, { platform: 'darwin' }],
    [100_000, { form: '32-bit' }],
    [50_000, { platform: 'win32', releaseShadow: true, race: race() }],
  ] as [number, HeapOptions][])(
    '%i steps, %j',
    (steps, options) => {
      console.log(`heap model: seed ${seed}, ${steps} steps`);
      run(steps, options, seed);
    },
    180_000,
  );
});
