/**
 * What memory must do on every platform, whatever its pages and its granularity: tests for test/platforms, which run
 * them with the machine's own geometry and with larger ones simulated.
 *
 * Sizes follow the machine, and are small: emulators pay for each reserved page.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CellWriter } from '../../lib/measure/cell-writer.js';
import { LazyShadowError } from '../../lib/native/errors.js';
import { Reservation } from '../../lib/native/reservation.js';
import { systemMemory } from '../../lib/native/system.js';
import { POLICIES, type Policy } from '../../lib/shadow/policies.js';
import { GRANULE_BYTES, PAGE_TOUCHED, SEGMENT_BYTES } from '../../lib/shadow/segment.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { windows } from './proc.js';
import { unless } from './skips.js';

const MIB = 2 ** 20;
const HEAP = 0xc0_0000_0000;
const HEAP_BYTES = 256 * MIB;
/** Of the layout node-x4: four bytes of shadow for each byte, half a byte of metainfo. */
const SHADOW_PER_BYTE = 4;
const METAINFO_PER_BYTE = 0.5;
const LARGEST_PAGE_BYTES = 65536;

/** What the operating systems answer when they are out of memory: ENOMEM; ERROR_COMMITMENT_LIMIT, or Wine's 5. */
const OUT_OF_MEMORY: readonly number[] = windows ? [8, 1455, 5] : [12];

/** Whether some amount of memory is refused here: macOS promises any, and so does Linux when told to. */
function refusesMemory(): boolean {
  return process.platform !== 'darwin' && systemMemory().overcommitMode !== 1;
}

const NEVER_REFUSED = 'this system refuses no amount of memory';

/** More than this machine would ever commit. */
function moreThanTheMachine(): number {
  const { physicalBytes, commitLimitBytes } = systemMemory();
  return Math.ceil((1.5 * Math.max(physicalBytes, commitLimitBytes ?? 0)) / MIB) * MIB;
}

function thrownBy(action: () => void): LazyShadowError {
  try {
    action();
  } catch (error) {
    if (error instanceof LazyShadowError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** A range of application memory, by its place in the heap. */
type Range = readonly [offset: number, sizeBytes: number];

/** Aligned to nothing, apart, overlapping, and across the 64 KiB that Windows reserves by. */
const RANGES: readonly Range[] = [
  [0x123, 0x4d],
  [0x1fff0, 0x12345],
  [0x28001, 3 * 65536 + 7],
  [5 * MIB - 3, 6],
];

function everyOrder<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first, i) => {
    const others = [...items.slice(0, i), ...items.slice(i + 1)];
    return everyOrder(others).map((rest) => [first, ...rest]);
  });
}

/** How many units of some size the ranges touch, each unit counted once, when stretched by a factor. */
function unitsOf(ranges: readonly Range[], factor: number, unit: number): number {
  const units = new Set<number>();
  for (const [offset, sizeBytes] of ranges) {
    const first = Math.floor(offset / GRANULE_BYTES) * GRANULE_BYTES * factor;
    const end = Math.ceil((offset + sizeBytes) / GRANULE_BYTES) * GRANULE_BYTES * factor;
    for (let at = Math.floor(first / unit); at < Math.ceil(end / unit); at++) units.add(at);
  }
  return units.size;
}

/** The offsets of granules, of the heap's first segment, that hold a cell. */
function cellsOf(shadow: Shadow): number[] {
  const memory = windowsOf(shadow);
  const segment = memory.segment(HEAP / SEGMENT_BYTES);
  if (segment === undefined) return [];
  const found: number[] = [];
  const wordsPerPage = 2 ** memory.pageShift / 4;
  for (const [page, state] of segment.shadowPages.entries()) {
    if (state !== PAGE_TOUCHED) continue;
    for (let word = page * wordsPerPage; word < (page + 1) * wordsPerPage; word += memory.wordsPerGranule) {
      if (segment.shadow[word] !== 0) found.push((word / memory.wordsPerGranule) * GRANULE_BYTES);
    }
  }
  return found;
}

function withShadow<Result>(
  policy: Policy,
  use: (shadow: Shadow, cells: CellWriter) => Result,
  heapBytes = HEAP_BYTES,
): Result {
  const shadow = new Shadow({ policy, heapBytes });
  try {
    return use(shadow, new CellWriter(windowsOf(shadow)));
  } finally {
    shadow.release();
  }
}

/** The tests; `expected` is the geometry that the machine is to have, where it was chosen. */
export function describeMemoryContract(expected: { pageSizeBytes?: number; granularityBytes?: number } = {}) {
  let pageBytes = 0;
  let granularityBytes = 0;

  beforeAll(() => {
    ({ pageSizeBytes: pageBytes, allocationGranularityBytes: granularityBytes } = systemMemory());
  });

  it('has the geometry that it should have', () => {
    expect(pageBytes).toBe(expected.pageSizeBytes ?? pageBytes);
    expect(granularityBytes).toBe(expected.granularityBytes ?? granularityBytes);
    if (windows) expect(granularityBytes).toBeGreaterThanOrEqual(65536);
  });

  describe('a reservation', () => {
    let reservation: Reservation;
    beforeAll(() => {
      reservation = Reservation.reserve(64 * MIB);
    });
    afterAll(() => reservation.release());

    it('begins at the granularity, and has nothing committed', () => {
      expect(reservation.address % granularityBytes).toBe(0);
      expect(reservation.stats()).toMatchObject({ committedBytes: 0, osCommittedBytes: 0, residentBytes: 0 });
    });

    it('commits the pages of ranges that are aligned to nothing, as the system counts them', () => {
      const { address } = reservation;
      const ranges: Range[] = [
        [pageBytes - 1, 2],
        [65535, 65538],
        [3 * MIB + 5, 1],
      ];
      for (const [offset, sizeBytes] of ranges) reservation.commit(address + offset, sizeBytes);
      const pages = new Set<number>();
      for (const [offset, sizeBytes] of ranges) {
        for (let at = offset; at < offset + sizeBytes; at++) pages.add(Math.floor(at / pageBytes));
      }
      const committedBytes = pages.size * pageBytes;
      expect(reservation.stats()).toMatchObject({ committedBytes, osCommittedBytes: committedBytes });
    });

    it('reads as zeros when committed again, and a view is empty before that', () => {
      const { address } = reservation;
      reservation.commit(address, 16 * MIB);
      const view = reservation.bytes(address, 16 * MIB).fill(0x5a);
      reservation.decommit(address + MIB, 2 * MIB);
      expect(view.length).toBe(0);
      expect(reservation.stats().osCommittedBytes).toBe(reservation.stats().committedBytes);
      reservation.commit(address + MIB, 2 * MIB);
      const again = reservation.bytes(address, 16 * MIB);
      expect(again.subarray(MIB, 3 * MIB).every((byte) => byte === 0)).toBe(true);
      expect([again[MIB - 1], again[3 * MIB]]).toEqual([0x5a, 0x5a]);
    });

    it('refuses an address that is taken, and replaces nothing there', () => {
      reservation.commit(reservation.address, 1);
      reservation.bytes(reservation.address, 1).fill(7);
      const error = thrownBy(() => {
        Reservation.reserve(64 * MIB, { address: reservation.address, exact: true });
      });
      expect(error.code).toBe('ERR_ADDRESS_TAKEN');
      expect([...reservation.bytes(reservation.address, 1)]).toEqual([7]);
    });

    it('loses nothing when a commit is refused', unless(refusesMemory(), NEVER_REFUSED), () => {
      const large = Reservation.reserve(moreThanTheMachine());
      try {
        large.commit(large.address + MIB, MIB);
        large.bytes(large.address + MIB, MIB).fill(0x33);
        const before = large.stats();
        const error = thrownBy(() => {
          large.commit(large.address, large.sizeBytes);
        });
        expect(error).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', verb: 'commit' });
        expect(OUT_OF_MEMORY).toContain(error.osCode);
        expect(large.stats()).toEqual(before);
        expect(large.bytes(large.address + MIB, MIB).every((byte) => byte === 0x33)).toBe(true);
        large.commit(large.address, 4 * MIB);
        expect(large.stats().osCommittedBytes).toBe(4 * MIB);
      } finally {
        large.release();
      }
    });
  });

  describe.each(POLICIES)('policy %s', (policy) => {
    it('maps the same in every order', () => {
      const mapped = RANGES.reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0);
      const overlap = 0x1fff0 + 0x12345 - 0x28001;
      const planes = [SHADOW_PER_BYTE, METAINFO_PER_BYTE];
      const pages = planes.reduce((sum, factor) => sum + unitsOf(RANGES, factor, pageBytes), 0);
      for (const order of everyOrder(RANGES)) {
        withShadow(policy, (shadow) => {
          for (const [offset, sizeBytes] of order) shadow.mapShadow(HEAP + offset, sizeBytes);
          expect(shadow.mappedBytes(HEAP, HEAP_BYTES)).toBe(mapped - overlap);
          for (const [offset, sizeBytes] of RANGES) {
            expect(shadow.isMapped(HEAP + offset, sizeBytes)).toBe(true);
          }
          expect(shadow.isMapped(HEAP + 2 * MIB)).toBe(false);
          // Not of the others: Wine looks at each page of gigabytes for their numbers.
          if (policy !== 'lazy' && policy !== 'touch') return;
          const { committedBytes, osCommittedBytes } = shadow.stats();
          expect(committedBytes).toBe(policy === 'lazy' ? pages * pageBytes : 0);
          expect(osCommittedBytes).toBe(committedBytes);
        });
      }
    });

    it('keeps live shadow when more is mapped over and beside it', () => {
      withShadow(policy, (shadow, cells) => {
        const [first, second] = [0x1fff0, 0x30008];
        shadow.mapShadow(HEAP + first, 8);
        cells.access(HEAP + first, 8);
        shadow.mapShadow(HEAP + 0x10000, 0x20000);
        shadow.mapShadow(HEAP + first - 64, 4096);
        shadow.mapShadow(HEAP + second, 24);
        cells.access(HEAP + second + 8, 3);
        shadow.mapShadow(HEAP, MIB);
        expect(cellsOf(shadow)).toEqual([first, second + 8]);
      });
    });

    it('forgets shadow across what was mapped apart, and nothing beside it', () => {
      withShadow(policy, (shadow, cells) => {
        // Under `unreserved` each is a mapping of its own; Windows gives each back by itself.
        const neighbours: Range[] = [
          [0, 65536],
          [65536, 65536],
          [131072, 65536],
        ];
        for (const [offset, sizeBytes] of neighbours) {
          shadow.mapShadow(HEAP + offset, sizeBytes);
          cells.access(HEAP + offset, sizeBytes);
        }
        shadow.unmapShadow(HEAP + 32768, 131072);
        expect(shadow.mappedBytes(HEAP, HEAP_BYTES)).toBe(65536);
        cells.access(HEAP + 65536, 8);
        shadow.mapShadow(HEAP + 32768, 131072);
        const kept = cellsOf(shadow);
        expect(kept.length).toBe(65536 / GRANULE_BYTES);
        expect(kept.every((offset) => offset < 32768 || offset >= 163840)).toBe(true);
        cells.access(HEAP + 65536, 8);
        expect(cellsOf(shadow)).toContain(65536);
      });
    });
  });

  it('touch commits at most 1.25 times what is resident', () => {
    withShadow('touch', (shadow, cells) => {
      shadow.mapShadow(HEAP, HEAP_BYTES);
      // As much as the largest page has shadow for: where pages are simulated, the machine's own are smaller.
      const used = LARGEST_PAGE_BYTES / SHADOW_PER_BYTE;
      for (let offset = 0; offset < HEAP_BYTES; offset += MIB) cells.access(HEAP + offset, used);
      const { committedBytes, osCommittedBytes, residentBytes } = shadow.stats();
      expect(committedBytes).toBe((HEAP_BYTES / MIB) * LARGEST_PAGE_BYTES);
      expect(osCommittedBytes).toBe(committedBytes);
      expect(residentBytes).toBeGreaterThan(0);
      expect(committedBytes).toBeLessThanOrEqual(1.25 * residentBytes);
    });
  });

  it('all policies give the same cells', () => {
    const [first, ...others] = POLICIES.map((policy) =>
      withShadow(policy, (shadow, cells) => {
        for (const [offset, sizeBytes] of RANGES) shadow.mapShadow(HEAP + offset, sizeBytes);
        for (let offset = 0; offset < 6 * MIB; offset += 4099) cells.access(HEAP + offset, 9);
        cells.malloc(HEAP + 0x28001, 65536);
        return cellsOf(shadow);
      }),
    );
    expect(first?.length).toBeGreaterThan(40);
    for (const cells of others) expect(cells).toEqual(first);
  });

  it('mapShadow that is refused leaves what was mapped', unless(refusesMemory(), NEVER_REFUSED), () => {
    const heapBytes = Math.ceil(moreThanTheMachine() / SHADOW_PER_BYTE / MIB) * MIB;
    withShadow(
      'lazy',
      (shadow, cells) => {
        shadow.mapShadow(HEAP + MIB, MIB);
        cells.access(HEAP + MIB, 64);
        const live = cellsOf(shadow);
        const before = shadow.stats(); // after the cells were read: on Windows that makes pages resident
        const error = thrownBy(() => {
          shadow.mapShadow(HEAP, heapBytes);
        });
        expect(error.code).toBe('ERR_OUT_OF_MEMORY');
        expect(OUT_OF_MEMORY).toContain(error.osCode);
        expect(shadow.stats()).toEqual(before);
        expect(cellsOf(shadow)).toEqual(live);
        shadow.mapShadow(HEAP, 4 * MIB);
        expect(shadow.isMapped(HEAP, 4 * MIB)).toBe(true);
        expect(cellsOf(shadow)).toEqual(live);
      },
      heapBytes,
    );
  });

  const charged = unless(windows, 'only Windows charges for shadow that is mapped at the start');
  it('eager is refused where it is charged for all of its shadow', charged, () => {
    const heapBytes = Math.ceil(moreThanTheMachine() / SHADOW_PER_BYTE / MIB) * MIB;
    const error = thrownBy(() => {
      new Shadow({ policy: 'eager', heapBytes });
    });
    expect(error.code).toBe('ERR_OUT_OF_MEMORY');
    expect(OUT_OF_MEMORY).toContain(error.osCode);
  });
}
