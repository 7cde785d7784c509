/**
 * Any sequence of calls, under all four policies at once, against a plain model: which bytes are mapped, and what each
 * granule's shadow and metainfo hold. After every step the counters equal the kernel's.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { geometry } from '../../lib/native/system.js';
import type { Layout } from '../../lib/shadow/layouts.js';
import { POLICIES } from '../../lib/shadow/policies.js';
import { GRANULE_BYTES, PAGE_MAPPED, PAGE_UNMAPPED, SEGMENT_BYTES } from '../../lib/shadow/segment.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { pageState, type PlaneName, readCell, touchedPages, writeCell } from '../support/cells.js';
import { linux, usageOf, windows } from '../support/proc.js';
import { slow } from '../support/sizes.js';

const PAGE = geometry().pageSizeBytes;
const HEAP = 0xc0_0000_0000;
/** Where the calls go: both sides of the border between two segments. */
const AREA_BYTES = 32 * 1024;
const AREA = HEAP + SEGMENT_BYTES - AREA_BYTES / 2;
const GRANULES = AREA_BYTES / GRANULE_BYTES;
const PLANES: readonly PlaneName[] = ['shadow', 'metainfo'];

const layoutOf = (multiplier: number): Layout => ({
  name: 'model',
  // No more than is used and a little: Wine looks at each page of what `eager` has committed, again and again.
  application: [{ name: 'heap', start: AREA - 2 ** 20, end: AREA + AREA_BYTES + 2 ** 20 }],
  shadow: { base: 0x4200_0000_0000, multiplier },
  metainfo: { base: 0x5200_0000_0000 },
});

class Model {
  readonly mapped = new Uint8Array(AREA_BYTES);
  readonly cells: Record<PlaneName, Int32Array> = {
    shadow: new Int32Array(GRANULES),
    metainfo: new Int32Array(GRANULES),
  };

  granuleMapped(granule: number): boolean {
    return this.mapped.subarray(granule * GRANULE_BYTES, (granule + 1) * GRANULE_BYTES).includes(1);
  }

  unmap(offset: number, size: number): void {
    this.mapped.fill(0, offset, offset + size);
    for (const granule of granulesOf(offset, size)) {
      if (this.granuleMapped(granule)) continue;
      for (const plane of PLANES) this.cells[plane][granule] = 0;
    }
  }

  /** Bytes of the pages that hold shadow of some mapped byte, both planes. */
  neededBytes(bytesPerGranule: Record<PlaneName, number>): number {
    let pages = 0;
    for (const plane of PLANES) {
      const needed = new Set<number>();
      for (let granule = 0; granule < GRANULES; granule++) {
        if (!this.granuleMapped(granule)) continue;
        needed.add(Math.floor(((AREA / GRANULE_BYTES + granule) * bytesPerGranule[plane]) / PAGE));
      }
      pages += needed.size;
    }
    return pages * PAGE;
  }
}

function* granulesOf(offset: number, size: number): Generator<number> {
  const last = Math.floor((offset + size - 1) / GRANULE_BYTES);
  for (let granule = Math.floor(offset / GRANULE_BYTES); granule <= last; granule++) yield granule;
}

const range = fc
  .tuple(fc.nat(AREA_BYTES - 1), fc.oneof(fc.integer({ min: 1, max: 64 }), fc.nat(20_000)))
  .map(([offset, size]) => ({ offset, size: Math.max(1, Math.min(size, AREA_BYTES - offset)) }));
const step = fc.record({
  verb: fc.constantFrom('map', 'map', 'map', 'unmap', 'clear', 'write', 'write'),
  range,
  plane: fc.constantFrom(...PLANES),
  value: fc.integer({ min: 1, max: 2 ** 30 }),
});

function run(
  shadow: Shadow,
  model: Model,
  steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
) {
  const memory = windowsOf(shadow);
  const bytesPerGranule = { shadow: 4 * memory.wordsPerGranule, metainfo: 4 };
  for (const {
    verb,
    range: { offset, size },
    plane,
    value,
  } of steps) {
    const address = AREA + offset;
    if (verb === 'map') {
      shadow.mapShadow(address, size);
      model.mapped.fill(1, offset, offset + size);
    } else if (verb === 'unmap') {
      shadow.unmapShadow(address, size);
      model.unmap(offset, size);
    } else if (verb === 'clear') {
      memory.clearShadow(address, size);
      for (const granule of granulesOf(offset, size)) model.cells.shadow[granule] = 0;
    } else {
      // The first and the last granule of the range, and one between.
      for (const at of [offset, offset + Math.floor(size / 2), offset + size - 1]) {
        const granule = Math.floor(at / GRANULE_BYTES);
        if (!model.granuleMapped(granule)) continue;
        expect(writeCell(memory, plane, AREA + at, value + at)).toBe(true);
        model.cells[plane][granule] = value + at;
      }
    }

    const mappedBytes = model.mapped.reduce((sum, bit) => sum + bit, 0);
    const stats = shadow.stats();
    expect(stats.mappedBytes).toBe(mappedBytes);
    expect(shadow.mappedBytes(AREA, AREA_BYTES)).toBe(mappedBytes);
    expect(shadow.isMapped(address, size)).toBe(!model.mapped.subarray(offset, offset + size).includes(0));
    const touched = touchedPages(memory, AREA, AREA + AREA_BYTES) * PAGE;
    const needed = model.neededBytes(bytesPerGranule);
    if (shadow.policy === 'lazy') expect(stats.committedBytes).toBe(needed);
    if (shadow.policy === 'touch') expect(stats.committedBytes).toBe(touched);
    if (shadow.policy === 'unreserved') expect(stats.committedBytes).toBeGreaterThanOrEqual(needed);
    const givesBack = shadow.policy === 'lazy' || shadow.policy === 'touch';
    if (givesBack) expect(stats.osCommittedBytes).toBe(stats.committedBytes);
    // What keeps its charge, Windows can only fill with zeros when it is unmapped: it stays resident.
    if (givesBack || !windows) expect(stats.residentBytes).toBeLessThanOrEqual(touched);
  }
  if (linux && (shadow.policy === 'lazy' || shadow.policy === 'touch')) {
    const charged = shadow.spans.map((span) => usageOf(span.address, span.sizeBytes).chargedBytes);
    expect(charged.reduce((sum, bytes) => sum + bytes)).toBe(shadow.stats().committedBytes);
  }
}

/** Not toEqual, which takes its time over thousands of numbers. */
function same(a: Int32Array | Uint8Array, b: Int32Array | Uint8Array): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
}

/** What the policies must agree on: every cell, and the state of every page. */
function contentsOf(shadow: Shadow): { cells: Record<PlaneName, Int32Array>; states: Uint8Array } {
  const memory = windowsOf(shadow);
  const cells = { shadow: new Int32Array(GRANULES), metainfo: new Int32Array(GRANULES) };
  const states = new Uint8Array(2 * GRANULES);
  for (const [i, plane] of PLANES.entries()) {
    for (let granule = 0; granule < GRANULES; granule++) {
      cells[plane][granule] = readCell(memory, plane, AREA + granule * GRANULE_BYTES);
      states[i * GRANULES + granule] = pageState(memory, plane, AREA + granule * GRANULE_BYTES);
    }
  }
  return { cells, states };
}

describe.each([1, 4, 8])('any sequence of calls at multiplier %i', (multiplier) => {
  it('leaves what a model says, alike under every policy', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        const layout = layoutOf(multiplier);
        const results = POLICIES.map((policy) => {
          const shadow = new Shadow({ layout, policy });
          const model = new Model();
          try {
            run(shadow, model, steps);
            const contents = contentsOf(shadow);
            for (const plane of PLANES) expect(same(contents.cells[plane], model.cells[plane])).toBe(true);
            for (let granule = 0; granule < GRANULES; granule++) {
              const state = contents.states[granule] ?? PAGE_UNMAPPED;
              if (model.granuleMapped(granule) && state < PAGE_MAPPED) throw new Error(`granule ${granule}`);
            }
            if (!model.mapped.includes(1)) expect(contents.states.every((state) => state === 0)).toBe(true);
            return contents.states;
          } finally {
            shadow.release();
          }
        });
        for (const states of results) expect(same(states, results[0] ?? new Uint8Array())).toBe(true);
      }),
      { numRuns: slow ? 4 : 12 },
    );
  });
});

describe('mapShadow', () => {
  it.each(POLICIES)('never clears live shadow, under %s', (policy) => {
    const shadow = new Shadow({ layout: layoutOf(4), policy });
    const memory = windowsOf(shadow);
    shadow.mapShadow(AREA + 1000, 2000);
    for (let at = 1000; at < 3000; at += 8) writeCell(memory, 'shadow', AREA + at, at);
    for (const [offset, size] of [
      [1000, 2000],
      [1500, 10],
      [0, 1001],
      [2999, 5000],
      [0, AREA_BYTES],
    ] as const) {
      shadow.mapShadow(AREA + offset, size);
    }
    for (let at = 1000; at < 3000; at += 8) expect(readCell(memory, 'shadow', AREA + at)).toBe(at);
    shadow.release();
  });

  it.each(POLICIES)('grows from both ends, by odd sizes, under %s', (policy) => {
    const shadow = new Shadow({ layout: layoutOf(4), policy });
    let [low, high] = [AREA + AREA_BYTES / 2, AREA + AREA_BYTES / 2];
    for (let size = 1; size < 3000; size = Math.ceil(size * 1.7)) {
      shadow.mapShadow(high, size);
      high += size;
      shadow.mapShadow(low - size, size);
      low -= size;
      const stats = shadow.stats();
      expect(stats.mappedBytes).toBe(high - low);
      expect([shadow.isMapped(low, high - low), shadow.isMapped(low - 1), shadow.isMapped(high)]).toEqual([
        true,
        false,
        false,
      ]);
      if (policy === 'lazy') {
        const pages = (bytesPerGranule: number) =>
          Math.ceil((Math.ceil(high / 8) * bytesPerGranule) / PAGE) -
          Math.floor((Math.floor(low / 8) * bytesPerGranule) / PAGE);
        expect(stats.committedBytes).toBe((pages(32) + pages(4)) * PAGE);
        expect(stats.osCommittedBytes).toBe(stats.committedBytes);
      }
    }
    shadow.release();
  });
});
