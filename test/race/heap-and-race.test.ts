/**
 * The Go heap and the race runtime together, on real memory: objects at real addresses, cells in real shadow.
 */
import { afterEach, describe, expect, it } from 'vitest';
import {
  createRaceRuntime,
  Heap,
  POLICIES,
  type Policy,
  type RaceReport,
  Shadow,
  shadowHooks,
} from '../../lib/index.js';
import { windows } from '../support/proc.js';
import { ARENA } from '../support/sizes.js';
import { unless } from '../support/skips.js';

const MAIN = 1;
const DATA = { noptrdata: 0x58f000, enoptrbss: 0x5a0000 };
const held: { release(): void }[] = [];
afterEach(() => {
  for (const thing of held.splice(0)) thing.release();
});

function program(policy: Policy, options: { releaseShadow?: boolean } = {}) {
  const shadow = new Shadow({ ...ARENA.shadow, policy });
  const reports: RaceReport[] = [];
  const race = createRaceRuntime({ shadow, onReport: (report) => reports.push(report) });
  race.raceinit(MAIN);
  const heap = new Heap({ ...ARENA.heap, race, scavenger: false, dataSegment: DATA, ...options });
  held.push(heap, shadow);
  return { shadow, race, heap, reports };
}

describe.each(POLICIES)('a heap under the detector, policy %s', (policy) => {
  it('has shadow for every byte of its arena and its data, and for nothing else', () => {
    const { shadow, heap } = program(policy);
    heap.malloc(3 * 2 ** 20);
    const usedBytes = heap.arenaUsed - heap.arenaStart;
    expect(shadow.isMapped(heap.arenaStart, usedBytes)).toBe(true);
    expect(shadow.isMapped(DATA.noptrdata, DATA.enoptrbss - DATA.noptrdata)).toBe(true);
    expect(shadow.stats().mappedBytes).toBe(usedBytes + DATA.enoptrbss - DATA.noptrdata);
  });

  it('finds a race on an object, and says which object it is', () => {
    const { race, heap, reports } = program(policy);
    const object = heap.malloc(100);
    race.racegostart(MAIN, 2, 0x1000);
    race.racewrite(MAIN, object + 8, 0x2000);
    race.racewrite(2, object + 8, 0x3000);
    expect(race.racyAddresses()).toEqual([object + 8]);
    expect(reports).toHaveLength(1);
    expect(reports[0]?.location).toMatchObject({
      kind: 'object',
      address: object,
      sizeBytes: 112,
      offset: 8,
    });
  });

  it('finds none between the old owner of memory and the new one', () => {
    const { race, heap } = program(policy);
    const first = heap.malloc(64);
    race.racegostart(MAIN, 2, 0x1000);
    race.racewrite(2, first, 0x3000);
    heap.free(first);
    const second = heap.malloc(64);
    expect(second).toBe(first); // a cache gives the last block first
    race.racewrite(MAIN, second, 0x2000);
    expect(race.racyAddresses()).toEqual([]);
  });

  it('takes the shadow of scavenged pages back, and gives clean shadow with the next use', () => {
    const { shadow, race, heap } = program(policy, { releaseShadow: true });
    const block = heap.malloc(2 ** 20);
    race.racegostart(MAIN, 2, 0x1000);
    race.racewriterange(2, block, 2 ** 20, 0x3000);
    const resident = shadow.stats().residentBytes;
    heap.free(block);
    expect(heap.scavenge()).toBeGreaterThanOrEqual(2 ** 20);
    expect(shadow.isMapped(block)).toBe(false);
    // Windows has no way to take pages whose charge stays, which these two policies' does: they are zeros, and resident.
    const stays = windows && (policy === 'eager' || policy === 'unreserved');
    if (!stays) expect(shadow.stats().residentBytes).toBeLessThan(resident - 3 * 2 ** 20);
    else expect(shadow.stats().residentBytes).toBeLessThanOrEqual(resident);
    race.racewrite(MAIN, block, 0x2000); // nobody's memory now: ignored, as accesses to stacks are
    const again = heap.malloc(2 ** 20);
    expect(Math.abs(again - block)).toBeLessThan(2 ** 20); // of the same pages
    race.racewriterange(MAIN, again, 2 ** 20, 0x2000);
    expect(race.racyAddresses()).toEqual([]);
    heap.verify();
  });
});

const oneHint = unless(!windows, 'V8 may lie in the way of an arena that is larger than its shadow');

it('memory whose shadow cannot be had is not handed out, and comes when it can', oneHint, () => {
  const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 28 });
  const heap = new Heap({ race: shadowHooks(shadow), scavenger: false, maxMemBytes: 2 ** 30 });
  held.push(heap, shadow);
  expect(() => heap.malloc(2 ** 29)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
  heap.verify();
  const block = heap.malloc(2 ** 16);
  expect(shadow.isMapped(block, 2 ** 16)).toBe(true);
});
