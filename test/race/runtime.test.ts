import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRaceRuntime } from '../../lib/race/race.js';
import { race0 } from '../../lib/race/race0.js';
import type { RaceReport } from '../../lib/race/report.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;
const LOCK = HEAP + 0x800;

let shadow: Shadow;
let reports: RaceReport[];
let race: ReturnType<typeof createRaceRuntime>;

beforeEach(() => {
  shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  reports = [];
  race = createRaceRuntime({ shadow, onReport: (report) => reports.push(report) });
  race.raceinit(1, 0x500000, 0x1000);
  race.racemapshadow(HEAP, 0x10000);
  race.racegostart(1, 2, 0x401000);
});

afterEach(() => shadow.release());

describe('the race runtime', () => {
  it('reports an unordered write and read, with stacks and creation', () => {
    race.racefuncenter(1, 0x400010);
    race.racewrite(1, HEAP + 5, 0x400020);
    race.raceread(2, HEAP + 5, 0x400030);
    expect(race.RaceErrors()).toBe(1);
    expect(race.racyAddresses()).toEqual([HEAP + 5]);
    expect(reports).toMatchObject([
      {
        address: HEAP + 5,
        sizeBytes: 1,
        current: {
          kind: 'read',
          goroutine: 2,
          main: false,
          running: true,
          stack: [0x400030],
          createdAt: [0x401000],
        },
        previous: { kind: 'write', goroutine: 1, main: true, stack: [0x400020, 0x400010], createdAt: [] },
        location: { kind: 'region', name: 'heap', address: HEAP, sizeBytes: 0x10000, offset: 5 },
      },
    ]);
  });

  it('knows that a go statement orders what is before it, and not what comes after', () => {
    race.racewrite(1, HEAP, 1);
    race.racegostart(1, 3, 0x401000);
    race.raceread(3, HEAP, 2);
    expect(race.RaceErrors()).toBe(0);
    race.racewrite(1, HEAP, 3);
    expect(race.RaceErrors()).toBe(1);
  });

  it('orders by release and acquire, not by a lock nobody acquired', () => {
    race.racewrite(1, HEAP, 1);
    race.racerelease(1, LOCK);
    race.raceacquire(2, LOCK);
    race.racewrite(2, HEAP, 2);
    expect(race.RaceErrors()).toBe(0);
    race.racewrite(1, HEAP, 3);
    expect(race.RaceErrors()).toBe(1);
  });

  it('keeps what it learned between two releases, when it hears from one who knows the first', () => {
    const [first, news, second, answer] = [LOCK, LOCK + 8, LOCK + 16, LOCK + 24];
    race.racegostart(1, 3, 0x401000);
    race.racerelease(1, first);
    race.raceacquire(2, first);
    race.racewrite(3, HEAP, 1);
    race.racerelease(3, news);
    race.raceacquire(1, news);
    race.racerelease(1, second);
    race.racerelease(2, answer);
    race.raceacquire(1, answer);
    race.raceread(1, HEAP, 2);
    expect(race.RaceErrors()).toBe(0);
  });

  it('drops the sync objects of freed memory and the cells of allocated memory', () => {
    race.racewrite(1, HEAP, 1);
    race.racerelease(1, LOCK);
    race.racefree(LOCK, 16);
    race.raceacquire(2, LOCK);
    race.racemalloc(HEAP + 8, 8);
    race.racewrite(1, HEAP + 8, 2);
    race.racemalloc(HEAP + 8, 8);
    race.racewrite(2, HEAP + 8, 3);
    expect(race.RaceErrors()).toBe(0);
    race.racewrite(2, HEAP, 4);
    expect(race.RaceErrors()).toBe(1);
  });

  it.each([7, 24, 29, 3003, 200_003])(
    'forgets cells to the byte on both sides of a segment’s edge, %i bytes each',
    (reach) => {
      const edge = HEAP + 2 ** 28;
      race.racemapshadow(edge - 2 ** 20, 2 ** 21);
      const around = [edge - reach - 1, edge - reach, edge - 1, edge, edge + reach - 1, edge + reach];
      for (const address of around) race.racewrite(1, address, 0x400020);
      race.racemalloc(edge - reach, 2 * reach);
      for (const address of around) race.racewrite(2, address, 0x400030);
      expect(race.racyAddresses()).toEqual([edge - reach - 1, edge + reach]);
    },
  );

  it('acquires and releases on behalf of a goroutine, unless the caller is disabled', () => {
    race.racewrite(2, HEAP, 1);
    race.raceDisable(1);
    race.racereleaseg(1, 2, LOCK);
    race.raceEnable(1);
    race.raceacquire(1, LOCK);
    race.racewrite(1, HEAP, 2);
    expect(race.RaceErrors()).toBe(1);
    race.racewrite(2, HEAP + 16, 1);
    race.racereleaseg(1, 2, LOCK);
    race.raceacquire(1, LOCK);
    race.racewrite(1, HEAP + 16, 2);
    expect(race.RaceErrors()).toBe(1);
  });

  it('orders by atomics and lets atomics race with plain accesses alone', () => {
    race.raceatomicadd(1, HEAP, 8, 0x400040, 0x400050);
    race.raceatomicstore(2, HEAP, 8, 0x400040, 0x400060);
    race.raceatomiccas(1, HEAP, 8, false, 0x400040, 0x400070);
    expect(race.RaceErrors()).toBe(0);
    race.racegostart(0, 3, 0x401000);
    race.raceread(3, HEAP + 7, 5);
    expect(reports).toMatchObject([
      { address: HEAP + 7, previous: { atomic: true, kind: 'write', sizeBytes: 8 } },
    ]);
  });

  it('ignores memory that was not mapped', () => {
    race.racewrite(1, 0x7fff_0000, 1);
    race.racewrite(2, 0x7fff_0000, 1);
    race.racewrite(1, HEAP + 0x10000, 1);
    race.racewrite(2, HEAP + 0x10000, 1);
    expect(race.RaceErrors()).toBe(0);
  });

  it('forgets unmapped memory', () => {
    race.racewrite(1, HEAP + 0x8000, 1);
    race.raceunmapshadow(HEAP + 0x8000, 0x8000);
    race.racewrite(2, HEAP + 0x8000, 1);
    race.racemapshadow(HEAP + 0x8000, 0x8000);
    race.racewrite(2, HEAP + 0x8000, 1);
    expect(race.RaceErrors()).toBe(0);
  });

  it('ends with the number of races, and takes no call after', () => {
    race.racewrite(1, HEAP, 1);
    race.racewrite(2, HEAP, 2);
    expect(race.racefini()).toBe(1);
    expect(() => race.raceread(1, HEAP, 1)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_USE' }));
  });
});

describe('invalid use', () => {
  const misuses: [string, () => void][] = [
    ['an unknown goroutine', () => race.raceread(9, HEAP, 1)],
    ['goroutine 0', () => race.racewrite(0, HEAP, 1)],
    ['a fraction', () => race.racewrite(1.5, HEAP, 1)],
    ['an end before a start', () => race.racegoend(9)],
    ['a second start', () => race.racegostart(1, 2, 1)],
    ['a start by an unknown goroutine', () => race.racegostart(9, 10, 1)],
    ['a second initialisation', () => race.raceinit(7)],
    ['an exit without an enter', () => race.racefuncexit(1)],
    ['an enable without a disable', () => race.raceEnable(1)],
    ['an address past 2^48', () => race.raceread(1, 2 ** 48, 1)],
    ['a negative address', () => race.raceread(1, -1, 1)],
    ['a range that wraps', () => race.racewriterange(1, 2 ** 48 - 8, 16, 1)],
    ['a negative size', () => race.racemalloc(HEAP, -8)],
    ['a size that is none', () => race.racefree(HEAP, Number.NaN)],
    ['a pc past 2^48', () => race.racefuncenter(1, 2 ** 48)],
    ['an atomic of 3 bytes', () => race.raceatomicload(1, HEAP, 3 as 4, 1, 1)],
  ];

  it.each(misuses)('%s throws and changes nothing', (_, misuse) => {
    race.racewrite(1, HEAP, 1);
    expect(misuse).toThrow(expect.objectContaining({ code: 'ERR_INVALID_USE' }));
    race.raceread(1, HEAP, 1);
    expect(race.RaceErrors()).toBe(0);
    race.racegostart(1, 10, 1);
    race.raceread(10, HEAP, 1);
    expect(race.RaceErrors()).toBe(0);
    race.raceread(2, HEAP, 1);
    expect(race.RaceErrors()).toBe(1);
  });

  it('by a finished goroutine', () => {
    race.racegoend(2);
    expect(() => race.racerelease(2, LOCK)).toThrow(/goroutine 2 has ended/);
    expect(() => race.racegoend(2)).toThrow(/goroutine 2 has ended/);
    expect(() => race.racegostart(1, 2, 1)).toThrow(/was started before/);
  });
});

describe('race0', () => {
  it('has the names of the race runtime and does nothing', () => {
    const { racyAddresses: _, ...names } = race;
    expect(Object.keys(race0).sort()).toEqual(Object.keys(names).sort());
    expect(race0.raceenabled).toBe(false);
    race0.racewrite(1, HEAP, 1);
    expect(race0.RaceErrors()).toBe(0);
    expect(race0.racefini()).toBe(0);
  });
});
