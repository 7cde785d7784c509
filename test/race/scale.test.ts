/**
 * Many goroutines, at once and one after another: same answers, bounded memory.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PLAIN_WRITE, READ } from '../../lib/race/access.js';
import { Detector } from '../../lib/race/detector.js';
import { RacyBytes } from '../../lib/race/racy-bytes.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HIGH = 0xc0;
const LOCK = 0x100000;

let shadow: Shadow;
let detector: Detector;
let racy: RacyBytes;

beforeEach(() => {
  shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  racy = new RacyBytes();
  detector = new Detector(windowsOf(shadow));
  detector.begin({
    shadow: windowsOf(shadow),
    historyEntries: 1024,
    onSighting: ({ granule, word, oldWord }) => racy.add(granule, word & oldWord),
  });
  detector.initialize(1);
  detector.mapShadow(0xc0_0000_0000, 0x200000);
});

afterEach(() => shadow.release());

const access = (goroutine: number, kind: number, low: number) =>
  detector.accesses.one(detector.goroutines.slotOf(goroutine), kind, low, HIGH, 1, 0);
const read = (goroutine: number, low: number) => access(goroutine, READ, low);
const write = (goroutine: number, low: number) => access(goroutine, PLAIN_WRITE, low);

describe('goroutines', () => {
  it('10 000 alive at once, all reading the same word: no race, until one writes', () => {
    write(1, 0);
    for (let goroutine = 2; goroutine <= 10_001; goroutine++) detector.goStart(1, goroutine, 1, 0);
    for (let goroutine = 2; goroutine <= 10_001; goroutine++) {
      read(goroutine, 0);
      write(goroutine, 8 * goroutine);
    }
    expect(racy.addresses()).toEqual([]);
    expect(detector.clocks.bytes()).toBeLessThan(64 * 2 ** 20);
    for (let goroutine = 2; goroutine <= 10_001; goroutine++) {
      detector.releaseMerge(goroutine, LOCK, HIGH);
      detector.goEnd(goroutine);
    }
    detector.acquire(1, LOCK, HIGH);
    write(1, 0);
    for (let goroutine = 2; goroutine <= 10_001; goroutine++) write(1, 8 * goroutine);
    expect(racy.addresses()).toEqual([]);
    detector.goStart(0, 10_002, 0, 0);
    write(10_002, 0);
    expect(racy.addresses()).toEqual([0xc0_0000_0000]);
  }, 60_000);

  it('100 000 one after another that are waited for: a slot or two serve them all', () => {
    for (let goroutine = 2; goroutine <= 100_001; goroutine++) {
      detector.goStart(1, goroutine, 1, 0);
      write(goroutine, 0);
      detector.releaseMerge(goroutine, LOCK, HIGH);
      detector.goEnd(goroutine);
      detector.acquire(1, LOCK, HIGH);
    }
    expect(racy.addresses()).toEqual([]);
    expect(detector.goroutines.slotCount).toBeLessThan(4);
    expect(detector.clocks.liveNodes()).toBeLessThan(16);
  }, 60_000);

  it('100 000 that nobody waits for: each still races with the first', () => {
    for (let goroutine = 2; goroutine <= 100_001; goroutine++) {
      detector.goStart(1, goroutine, 1, 0);
      if (goroutine === 2 || goroutine === 100_001) write(goroutine, 0);
      write(goroutine, 8 + 8 * goroutine);
      detector.goEnd(goroutine);
    }
    expect(racy.addresses()).toEqual([0xc0_0000_0000]);
    const bytes = detector.clocks.bytes() + detector.history.bytes() + detector.goroutines.bytes;
    expect(bytes).toBeLessThan(128 * 2 ** 20);
  }, 60_000);

  it('10 000 that read a word and end, in turn with a writer: the granule’s spill is taken back', () => {
    for (let round = 0; round < 10; round++) {
      const first = 2 + round * 1000;
      for (let goroutine = first; goroutine < first + 1000; goroutine++) {
        detector.goStart(1, goroutine, 1, 0);
        read(goroutine, 0);
        detector.releaseMerge(goroutine, LOCK, HIGH);
        detector.goEnd(goroutine);
      }
      detector.acquire(1, LOCK, HIGH);
      write(1, 0);
      expect(detector.spill.liveLists()).toBe(0);
    }
    expect(racy.addresses()).toEqual([]);
  });
});

describe('stacks', () => {
  it('of a recursion that branches do not pile up', () => {
    let calls = 0;
    const visit = (depth: number) => {
      calls++;
      write(1, 16);
      if (depth === 0) return;
      for (const pc of [1, 2]) {
        detector.funcEnter(1, depth * 2 + pc, 0);
        visit(depth - 1);
        detector.funcExit(1);
      }
    };
    visit(17);
    expect(calls).toBe(2 ** 18 - 1);
    expect(detector.stacks.bytes()).toBeLessThan(2 ** 20);
  });

  it('are known as far back as the history goes, and no further', () => {
    detector.goStart(1, 2, 1, 0);
    write(2, 0);
    const position = () => detector.goroutines.state[(1 << 3) + 0] as number;
    const made = position();
    for (let i = 1; i < 1024; i++) write(2, 8 * i);
    expect(detector.history.find(1, made, 1, position())).toBeDefined();
    write(2, 8 * 1024);
    expect(detector.history.find(1, made, 1, position())).toBeUndefined();
  });
});
