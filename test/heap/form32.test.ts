import { afterEach, describe, expect, it } from 'vitest';
import { Heap } from '../../lib/heap/heap.js';
import type { HeapOptions, HeapSeams } from '../../lib/heap/mallocinit.js';
import { Reservation } from '../../lib/native/reservation.js';
import { codeOf, FaultyMemory, RecordingRace } from '../support/heap.js';
import { windows } from '../support/proc.js';

const MiB = 2 ** 20;
/**
 * Beyond the addresses over which V8 scatters its pages, since tests want just these: 4 TiB on Windows, 64 TiB on Linux.
 * Only x64 is sure to have any beyond.
 */
const WINDOW = windows ? 0x0510_0000_0000 : process.arch === 'x64' ? 0x4800_0000_0000 : 0x00c8_0000_0000;

const heaps: Heap[] = [];
function newHeap(options: HeapOptions = {}, seams: HeapSeams = {}): Heap {
  const heap = new Heap({ scavenger: false, form: '32-bit', window32: WINDOW, ...options }, seams);
  heaps.push(heap);
  return heap;
}
afterEach(() => {
  for (const heap of heaps.splice(0)) heap.release();
});

describe('the 32-bit form', () => {
  it('lies behind the data segment: a bitmap for 2 GiB, then the arena', () => {
    const data = { noptrdata: WINDOW + 0x1000, enoptrbss: WINDOW + 0x12_3456 };
    const heap = newHeap({ dataSegment: data });
    // 256 KiB past the data, rounded up to 1 MiB; 2 GiB of 4-byte words at 4 bits each are 256 MiB of bitmap.
    expect(heap.arenaStart).toBe(WINDOW + 2 * MiB + 256 * MiB);
    expect(heap.form).toBe('32-bit');
    heap.verify();
  });

  it('works with words of 4 bytes: all sizes, zeroed, freed', () => {
    const heap = newHeap();
    const blocks: number[] = [];
    for (let size = 0; size < 40_000; size += 37) {
      const address = heap.malloc(size);
      const bytes = heap.bytes(address, size || 1);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      bytes.fill(0xa5);
      blocks.push(address);
    }
    heap.verify();
    for (const block of blocks) heap.free(block);
    expect(codeOf(() => heap.free(blocks[5] as number))).toBe('ERR_NOT_ALLOCATED');
    for (let size = 0; size < 40_000; size += 37) {
      const address = heap.malloc(size);
      expect(heap.bytes(address, size || 1).every((byte) => byte === 0)).toBe(true);
      heap.free(address);
    }
    heap.flushCaches();
    expect(heap.verify()).toMatchObject({ spansInUse: 0, spansFree: 1 });
  });

  it('reserves 256 MiB more when the 512 MiB are gone', () => {
    const os = new FaultyMemory();
    const race = new RecordingRace();
    const heap = newHeap({ race }, { os });
    const blocks = [heap.malloc(400 * MiB), heap.malloc(200 * MiB), heap.malloc(300 * MiB)];
    const reserved = os.calls.filter(({ verb }) => verb === 'reserve').map(({ sizeBytes }) => sizeBytes);
    expect(reserved.filter((size) => size === 256 * MiB)).toHaveLength(2);
    expect(heap.arenaUsed - heap.arenaStart).toBeGreaterThan(900 * MiB);
    let at = heap.arenaStart;
    for (const { address, sizeBytes } of race.ranges('racemapshadow')) {
      expect(address).toBe(at);
      at += sizeBytes;
    }
    expect(at).toBe(heap.arenaUsed);
    for (const block of blocks) heap.free(block);
    heap.flushCaches();
    expect(heap.verify()).toMatchObject({ spansFree: 1 });
  });

  it('takes what the system places, once something is in the way, and tells the race runtime of just that', () => {
    const race = new RecordingRace();
    const heap = newHeap({ race }, { mappingBase32: 0x6000_0000 });
    // Something right behind the arena.
    const inTheWay = Reservation.reserve(64 * 1024, {
      address: heap.arenaStart + 512 * MiB + 1 * MiB,
      exact: true,
    });
    const first = heap.malloc(500 * MiB);
    race.calls = [];
    const second = heap.malloc(100 * MiB);
    expect(second).toBeGreaterThan(heap.arenaStart + 600 * MiB);
    expect(race.ranges('racemapshadow')).toMatchObject([{ address: second, sizeBytes: 100 * MiB }]);
    expect(heap.arenaUsed).toBe(second + 100 * MiB);
    expect(heap.memStats().HeapSys).toBeLessThan(heap.arenaUsed - heap.arenaStart);
    heap.bytes(second, 100 * MiB)[100 * MiB - 1] = 1;
    heap.verify();
    // Addresses in the hole are no blocks.
    expect(codeOf(() => heap.free(second - 4096))).toBe('ERR_NOT_ALLOCATED');
    expect(heap.mlookup(second - 4096)).toBeNull();
    heap.free(first);
    heap.free(second);
    heap.flushCaches();
    expect(heap.verify()).toMatchObject({ spansInUse: 0, spansFree: 2 });
    inTheWay.release();
  });

  it('gives memory back that the bitmap does not reach, and fails', () => {
    const os = new FaultyMemory();
    const heap = newHeap({}, { os, mappingBase32: 0xb000_0000 });
    const inTheWay = Reservation.reserve(64 * 1024, {
      address: heap.arenaStart + 512 * MiB + 1 * MiB,
      exact: true,
    });
    const before = heap.verify();
    expect(() => heap.malloc(600 * MiB)).toThrow(
      /memory allocated by OS \(0x[0-9a-f]+\) not in usable range/,
    );
    expect(heap.verify()).toEqual(before);
    heap.free(heap.malloc(100));
    inTheWay.release();
    heap.free(heap.malloc(600 * MiB));
    heap.verify();
  });
});

describe('the fallback', () => {
  it('goes to the 32-bit form, with words of the machine, when the 64-bit region is refused', () => {
    const os = new FaultyMemory();
    os.refuse = (verb, address, sizeBytes) =>
      verb === 'reserve' && (sizeBytes > 2 ** 31 || address === 0x00c0_0000_0000);
    const heap = newHeap({ form: '64-bit' }, { os });
    expect(heap.form).toBe('32-bit');
    const block = heap.malloc(100);
    heap.bytes(block, 100).fill(1);
    heap.free(block);
    heap.free(heap.malloc(40 * MiB));
    heap.verify();
  });

  it('says so if even that is refused, and keeps nothing', () => {
    const os = new FaultyMemory();
    os.refuse = (verb) => verb === 'reserve';
    expect(() => newHeap({ form: '64-bit' }, { os })).toThrow(/cannot reserve arena virtual address space/);
  });
});
