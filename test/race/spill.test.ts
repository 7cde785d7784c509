/**
 * The pool of lists: what happens at its end, and that what Malloc has cleared over is used again before.
 */
import { describe, expect, it } from 'vitest';
import { TableSpace } from '../../lib/native/table.js';
import { CELL_WORDS, PLAIN, SLOT_SHIFT, SPILLED } from '../../lib/race/cell.js';
import { createSpill } from '../../lib/race/spill.js';
import type { Window, Windows } from '../../lib/race/window.js';
import { PAGE_TOUCHED } from '../../lib/shadow/segment.js';
import { refusalOf } from '../support/refusals.js';

/** Two cells a granule, and pages of 4 KiB. */
const GEOMETRY = { wordsPerGranule: 2 * CELL_WORDS, pageShift: 12 };
const GRANULES = 16 * 1024;

/** Of the 2^30 words of a space: 64 Ki, less than the lists of all granules take. */
const WORDS = 64 * 1024;

function pool() {
  const space = new TableSpace();
  const small = { table: (what: string) => space.table(what, WORDS / 2 ** 30) } as unknown as TableSpace;
  const shadow = new Int32Array(GRANULES * GEOMETRY.wordsPerGranule);
  const segment = {
    index: 0,
    shadow,
    shadowPages: new Uint8Array(shadow.byteLength >> GEOMETRY.pageShift).fill(PAGE_TOUCHED),
    metainfo: new Int32Array(0),
    metainfoPages: new Uint8Array(0),
  };
  const window: Window = {
    segment,
    cells: shadow,
    base: 0,
    firstGranule: 0,
    endGranule: GRANULES,
    holes: false,
  };
  const spill = createSpill(small, { at: () => window } as unknown as Windows, GEOMETRY);
  /** A granule with a cell of slot 1 and one of slot 2 gets a list. */
  const spillGranule = (granule: number) => {
    const first = granule * GEOMETRY.wordsPerGranule;
    shadow.set([(1 << SLOT_SHIFT) | PLAIN | 1, 1, (2 << SLOT_SHIFT) | PLAIN | 1, 1], first);
    return spill.open(window, granule);
  };
  /** As many granules from `from` on as there is room for. */
  const fill = (from: number) => {
    for (let granule = from; granule < GRANULES; granule++) {
      try {
        spillGranule(granule);
      } catch (error) {
        return { granule, error };
      }
    }
    throw new Error('there was room for all');
  };
  return { spill, shadow, window, spillGranule, fill };
}

describe('the pool of lists', () => {
  it('refuses the list that does not fit, and leaves the granule as it was', () => {
    const { spill, shadow, fill } = pool();
    const { granule, error } = fill(0);
    const refusal = refusalOf(() => {
      throw error;
    });
    expect(refusal.code).toBe('ERR_OUT_OF_MEMORY');
    expect(refusal.message).toContain('granules with more cells than fit');
    expect(spill.liveLists()).toBe(granule);
    const cells = shadow.subarray(
      granule * GEOMETRY.wordsPerGranule,
      (granule + 1) * GEOMETRY.wordsPerGranule,
    );
    expect([...cells]).toEqual([(1 << SLOT_SHIFT) | PLAIN | 1, 1, (2 << SLOT_SHIFT) | PLAIN | 1, 1]);
  });

  it('uses lists again whose granules were cleared, though nobody said so', () => {
    const { spill, shadow, fill } = pool();
    const { granule } = fill(0);
    const cleared = granule >> 1;
    shadow.fill(0, 0, cleared * GEOMETRY.wordsPerGranule);
    expect(fill(granule).granule).toBe(granule + cleared);
    expect(spill.liveLists()).toBe(granule);
    expect(shadow[(granule + 1) * GEOMETRY.wordsPerGranule - 1]).toBe(SPILLED);
  });

  it('gives a granule the last cell of its list back, and one that has none an empty place', () => {
    const { spill, shadow, window, spillGranule } = pool();
    const before = [(1 << SLOT_SHIFT) | PLAIN | 1, 1, (2 << SLOT_SHIFT) | PLAIN | 1, 1];
    spill.close(window, 0, spillGranule(0));
    expect([...shadow.subarray(0, 4)]).toEqual(before);
    const list = spillGranule(0);
    const at = spill.probe(list, 2);
    spill.words[at + 1] = 0;
    spill.removed(list, at, before[2] ?? 0);
    expect(spill.count(list)).toBe(0);
    spill.close(window, 0, list);
    expect([...shadow.subarray(0, 4)]).toEqual([...before.slice(0, 2), 0, 0]);
    expect(spill.liveLists()).toBe(0);
  });
});
