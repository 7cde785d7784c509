/**
 * Shadow that is touched upwards has its pages made several at a time; and never more than a quarter too much.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PLAIN_WRITE } from '../../lib/race/access.js';
import { Detector } from '../../lib/race/detector.js';
import { LazyShadowError } from '../../lib/native/errors.js';
import { geometry } from '../../lib/native/system.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;
const HIGH = Math.floor(HEAP / 2 ** 32);
const { pageSizeBytes: PAGE } = geometry();
/** Application bytes that share a page of shadow, at multiplier 4. */
const SHARE = PAGE / 4;
const SHARES = 256;
const MAIN_SLOT = 0;

let shadow: Shadow;
let detector: Detector;
/** Bytes that were asked for, call by call. */
let asked: number[];
/** More than this at once is refused. */
let room: number;

beforeEach(() => {
  shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  const memory = windowsOf(shadow);
  const touchShadow = memory.touchShadow.bind(memory);
  asked = [];
  room = Number.POSITIVE_INFINITY;
  memory.touchShadow = (segment, firstByte, byteLength) => {
    asked.push(byteLength);
    if (byteLength > room) {
      const details = { verb: 'touch', sizeBytes: byteLength };
      throw new LazyShadowError('ERR_OUT_OF_MEMORY', 'there is no room.', details);
    }
    touchShadow(segment, firstByte, byteLength);
  };
  detector = new Detector(memory);
  detector.begin({ shadow: memory, historyEntries: 1024, onSighting: () => undefined });
  detector.initialize(1);
});

afterEach(() => shadow.release());

function map(shares: number): void {
  detector.mapShadow(HEAP, shares * SHARE);
}

/** A write of one byte whose cells are in page number `share` of the shadow. */
function write(share: number): void {
  detector.accesses.one(MAIN_SLOT, PLAIN_WRITE, (HEAP + share * SHARE) | 0, HIGH, 0x1000, 0);
}

const committedPages = () => shadow.stats().committedBytes / PAGE;

describe('shadow that grows', () => {
  it('is made ahead, by a quarter of what was touched in a row, and with fewer calls', () => {
    map(SHARES);
    for (let share = 0; share < SHARES; share++) {
      write(share);
      expect(committedPages()).toBeGreaterThan(share);
      expect(committedPages()).toBeLessThanOrEqual(1.25 * (share + 1));
    }
    expect(asked.reduce((sum, bytes) => sum + bytes)).toBe(SHARES * PAGE);
    expect(Math.max(...asked)).toBe(16 * PAGE);
    expect(asked.length).toBeLessThan(SHARES / 8);
  });

  it('is made ahead up to what is not mapped, or is touched already', () => {
    map(110);
    write(103);
    for (let share = 0; share < 100; share++) write(share);
    asked = [];
    for (let share = 100; share < 110; share++) write(share);
    expect(committedPages()).toBe(110);
    expect(asked.every((bytes) => bytes <= 6 * PAGE)).toBe(true);
  });

  it('is not made ahead where it is touched here and there, or downwards', () => {
    map(SHARES);
    for (let share = 0; share < SHARES / 2; share += 2) write(share);
    for (let share = SHARES - 1; share > SHARES / 2; share--) write(share);
    expect(new Set(asked)).toEqual(new Set([PAGE]));
    expect(committedPages()).toBe(asked.length);
  });

  it('goes on page by page where there is no room for more, up to the page that there is none for', () => {
    map(SHARES);
    room = PAGE;
    for (let share = 0; share < SHARES / 2; share++) write(share);
    expect(committedPages()).toBe(SHARES / 2);
    room = 0;
    expect(() => write(SHARES / 2)).toThrow('there is no room');
    expect(committedPages()).toBe(SHARES / 2);
    room = PAGE;
    write(SHARES / 2);
    expect(committedPages()).toBe(SHARES / 2 + 1);
  });
});
