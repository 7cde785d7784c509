import { afterEach, describe, expect, it } from 'vitest';
import { FixAlloc } from '../../lib/heap/fixalloc.js';
import { PLATFORMS, Sys } from '../../lib/heap/sys.js';
import { formatAddress } from '../../lib/native/errors.js';
import { Reservation } from '../../lib/native/reservation.js';
import { codeOf, FaultyMemory } from '../support/heap.js';
import { windows } from '../support/proc.js';
import { unless } from '../support/skips.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
// On Windows beyond the 4 TiB over which V8 scatters its pages: tests want just this address.
// Where V8 does not map: it scatters pages at random below 0x4000 0000 0000.
const HINT = 0x5800_0000_0000;

const made: Sys[] = [];
function newSys(platform: keyof typeof PLATFORMS, os = new FaultyMemory()): { sys: Sys; os: FaultyMemory } {
  const sys = new Sys(os, PLATFORMS[platform]);
  made.push(sys);
  return { sys, os };
}
afterEach(() => {
  for (const sys of made.splice(0)) sys.releaseAll();
});

describe('sysReserve', () => {
  it('of more than 4 GiB only checks, on Linux', () => {
    const { sys, os } = newSys('linux');
    expect(sys.sysReserve(HINT, 100 * GiB)).toEqual({ address: HINT, reserved: false });
    expect(os.calls).toEqual([{ verb: 'reserve', address: HINT, sizeBytes: 64 * 1024 }]);
    expect(sys.pieces).toHaveLength(0);
    const inTheWay = Reservation.reserve(4096, { address: HINT, exact: true });
    expect(sys.sysReserve(HINT, 100 * GiB)).toBeNull();
    inTheWay.release();
  });

  it.each(['darwin', 'win32'] as const)(
    'reserves it all on %s, elsewhere if the hint is taken',
    (platform) => {
      const { sys } = newSys(platform);
      expect(sys.sysReserve(HINT, 8 * GiB)).toEqual({ address: HINT, reserved: true });
      const second = sys.sysReserve(HINT, 8 * GiB);
      expect(second?.reserved).toBe(true);
      expect(second?.address).not.toBe(HINT);
      expect(sys.pieces).toHaveLength(2);
    },
  );

  it('answers null when it is refused, and passes other errors on', () => {
    const { sys, os } = newSys('win32');
    os.refuse = () => true;
    expect(sys.sysReserve(undefined, MiB)).toBeNull();
    expect(sys.sysAlloc(MiB)).toBeNull();
    os.refuse = () => false;
    expect(codeOf(() => sys.sysReserve(undefined, -1))).toBe('ERR_INVALID_ARGUMENT');
  });
});

describe('sysMap of a region that was only checked', () => {
  const downwards = unless(!windows, 'Windows’ granularity does not allow to go down by 8 KiB at a time');
  it('reserves 64 MiB at a time, exactly there, upwards or downwards', downwards, () => {
    const { sys } = newSys('linux');
    sys.sysMap(HINT, MiB, false);
    sys.sysMap(HINT + MiB, 70 * MiB, false);
    sys.sysMap(HINT - 8192, 8192, false, true);
    sys.sysMap(HINT - 16_384, 8192, false, true);
    expect(sys.pieces.map(({ address, sizeBytes }) => [address - HINT, sizeBytes])).toEqual([
      [-64 * MiB, 64 * MiB],
      [0, 64 * MiB],
      [64 * MiB, 64 * MiB],
    ]);
    const committed = sys.pieces.flatMap((piece) => piece.committedRanges());
    expect(committed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(71 * MiB + 16_384);
  });

  it('takes just what is asked where more is not free, and names a conflict', () => {
    const { sys } = newSys('linux');
    const inTheWay = Reservation.reserve(64 * 1024, { address: HINT + 2 * MiB, exact: true });
    sys.sysMap(HINT, 2 * MiB, false);
    expect(sys.pieces[0]?.sizeBytes).toBe(2 * MiB);
    expect(() => sys.sysMap(HINT + 2 * MiB, MiB, false)).toThrow(
      `runtime: address space conflict: map(${formatAddress(HINT + 2 * MiB)})`,
    );
    expect(sys.pieces).toHaveLength(1);
    inTheWay.release();
  });
});

describe('sysUnused and sysUsed', () => {
  it('split a range that spans two allocations, and on Windows take the charge back and forth', () => {
    const { sys, os } = newSys('win32');
    const first = sys.sysReserve(HINT, MiB);
    const second = sys.sysReserve(HINT + MiB, MiB);
    expect([first?.address, second?.address]).toEqual([HINT, HINT + MiB]);
    sys.sysMap(HINT, 2 * MiB, true);
    os.calls = [];
    sys.sysUnused(HINT + MiB / 2, MiB);
    expect(os.calls).toEqual([
      { verb: 'decommit', address: HINT + MiB / 2, sizeBytes: MiB / 2 },
      { verb: 'decommit', address: HINT + MiB, sizeBytes: MiB / 2 },
    ]);
    const committed = () =>
      sys.pieces
        .flatMap((piece) => piece.committedRanges())
        .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(committed()).toBe(MiB);
    os.refuse = (verb, address) => verb === 'commit' && address === HINT + MiB;
    expect(codeOf(() => sys.sysUsed(HINT + MiB / 2, MiB))).toBe('ERR_OUT_OF_MEMORY');
    expect(committed()).toBe(MiB);
    os.refuse = () => false;
    sys.sysUsed(HINT + MiB / 2, MiB);
    expect(committed()).toBe(2 * MiB);
  });

  it.each(['linux', 'darwin'] as const)('keep the charge on %s', (platform) => {
    const { sys, os } = newSys(platform);
    const address = sys.sysAlloc(MiB) ?? 0;
    os.calls = [];
    sys.sysUnused(address, MiB);
    sys.sysUsed(address, MiB);
    expect(os.calls.map(({ verb }) => verb)).toEqual(['purge']);
    expect(sys.pieces[0]?.stats().osCommittedBytes).toBe(MiB);
    // Windows' way to zero memory and keep its charge is to write the zeros.
    if (!windows) expect(sys.pieces[0]?.stats().residentBytes).toBe(0);
  });
});

describe('sysFault and sysFree', () => {
  it('take the memory, and the addresses too', () => {
    const { sys } = newSys('linux');
    const address = sys.sysAlloc(MiB) ?? 0;
    sys.sysFault(address, MiB);
    expect(sys.pieces[0]?.committedRanges()).toEqual([]);
    sys.sysFree(address);
    expect(sys.pieces).toHaveLength(0);
    expect(codeOf(() => sys.sysFree(address))).toBe('ERR_CORRUPT');
  });
});

describe('FixAlloc', () => {
  it('gives zeroed records, commits 16 KiB at a time, and answers 0 when there is no more', () => {
    const { sys, os } = newSys('linux');
    const records = new FixAlloc(sys, 64, 600);
    const all: number[] = [];
    for (let r = records.alloc(); r !== 0; r = records.alloc()) {
      expect(records.i32.slice(r * 16, r * 16 + 16).every((word) => word === 0)).toBe(true);
      records.i32.fill(-1, r * 16, r * 16 + 16);
      all.push(r);
    }
    expect(new Set(all).size).toBe(767); // three chunks of 256, less nil
    expect(records.sysBytes).toBe(3 * 16_384);
    expect(records.inuseBytes).toBe(767 * 64);
    for (const r of all) records.free(r);
    expect(records.verify('records')).toEqual([]);
    expect(records.inuseBytes).toBe(0);
    os.refuse = () => true;
    const again = records.alloc();
    expect(records.i32[again * 16 + 3]).toBe(0);
    records.close();
    expect(records.i32.length).toBe(0);
  });
});
