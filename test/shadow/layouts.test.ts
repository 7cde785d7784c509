/**
 * Layouts: the whole address map sampled, and what a layout of one's own must be.
 */
import { describe, expect, it } from 'vitest';
import {
  type AddressSpan,
  checkedLayout,
  DEFAULT_LAYOUT,
  LAYOUT_NAMES,
  type Layout,
  layoutByName,
  METAINFO_BYTES_PER_GRANULE,
  metainfoSpan,
  shadowSpan,
  withHeapBytes,
} from '../../lib/shadow/layouts.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { expectRefusal, refusalOf } from '../support/refusals.js';
import { geometry } from '../../lib/native/system.js';

/** Both ends of a range, every power of two from them, and points at random that are the same every time. */
function samplesOf({ start, end }: AddressSpan): number[] {
  const samples = [start, end - 1];
  for (let distance = 1; distance < end - start; distance *= 2) {
    samples.push(start + distance, start + distance - 1, end - distance);
  }
  let state = 1;
  for (let i = 0; i < 200; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    samples.push(start + Math.floor((state / 2 ** 32) * (end - start)));
  }
  return samples;
}

const layouts = LAYOUT_NAMES.map((name) => ({ name, layout: layoutByName(name) }));

describe.each(layouts)('$name', ({ name, layout }) => {
  const multiplier = layout.shadow.multiplier;
  const metainfoBase = layout.metainfo?.base ?? 0;
  const shadowOf = (address: number) => shadowSpan(layout, { start: address, end: address }).start;
  const metainfoOf = (address: number) => metainfoSpan(layout, { start: address, end: address })?.start ?? 0;

  it('passes the checks that a layout of one’s own must pass', () => {
    expect(checkedLayout(layout)).toEqual(layout);
  });

  it('translates every application address to a place of its own, and back', () => {
    for (const range of layout.application) {
      for (const address of samplesOf(range)) {
        const granule = address - (address % 8);
        expect((shadowOf(address) - layout.shadow.base) / multiplier).toBe(granule);
        expect((metainfoOf(address) - metainfoBase) * 2).toBe(granule);
        // Linear: the next granule's shadow lies right behind.
        expect(shadowOf(granule + 8) - shadowOf(granule)).toBe(8 * multiplier);
        expect(metainfoOf(granule + 8) - metainfoOf(granule)).toBe(METAINFO_BYTES_PER_GRANULE);
      }
    }
  });

  // Go's Windows tables add, and the others are not Go's.
  const layoutsWithOr = name.startsWith('go-unix') ? [layout] : [];
  it.each(layoutsWithOr)('is what Go writes with OR', () => {
    for (const range of layout.application) {
      for (const address of samplesOf(range)) {
        const granule = BigInt(address) & ~7n;
        expect(BigInt(shadowOf(address))).toBe((granule * BigInt(multiplier)) | 0x2000_0000_0000n);
        expect(BigInt(metainfoOf(address))).toBe((granule >> 1n) | 0x3000_0000_0000n);
      }
    }
  });

  it('has application, shadow and metainfo apart, inside the spans that it names', () => {
    const spans: AddressSpan[] = [];
    for (const range of layout.application) {
      const shadow = shadowSpan(layout, range);
      const metainfo = metainfoSpan(layout, range) ?? shadow;
      spans.push(range, shadow, metainfo);
      for (const [span, whole] of [
        [shadow, layout.shadow.span],
        [metainfo, layout.metainfo?.span],
      ] as const) {
        if (whole === undefined) continue;
        expect(span.start).toBeGreaterThanOrEqual(whole.start);
        expect(span.end).toBeLessThanOrEqual(whole.end);
      }
    }
    spans.sort((a, b) => a.start - b.start);
    spans.reduce((before, span) => {
      expect(span.start).toBeGreaterThanOrEqual(before.end);
      return span;
    });
    expect(spans.at(-1)?.end).toBeLessThan(2 ** 47);
  });

  it('is what a Shadow answers, wherever its spans came to lie', () => {
    const shadow = new Shadow({ layout, policy: 'lazy', heapBytes: 2 ** 34 });
    for (const range of shadow.layout.application) {
      for (const address of samplesOf(range)) {
        for (const [plane, to, wanted] of [
          ['shadow', shadow.memToShadow(address), shadowOf(address)],
          ['metainfo', shadow.memToMetainfo(BigInt(address)), metainfoOf(address)],
        ] as const) {
          const span = shadow.spans.find(
            (candidate) =>
              candidate.plane === plane &&
              to >= candidate.address &&
              to < candidate.address + candidate.sizeBytes,
          );
          if (span === undefined) throw new Error(`${plane} of ${address} is in no span`);
          expect(to - span.address).toBe(wanted - span.wantedAddress);
        }
      }
    }
    shadow.release();
  });
});

describe('Go’s tables, by number', () => {
  it.each([
    ['go-unix-x4', 0x00c0_0000_1000, 0x2300_0000_4000, 0x3060_0000_0800],
    ['go-unix-x2', 0x00c0_0000_1000, 0x2180_0000_2000, 0x3060_0000_0800],
    ['go-windows-x4', 0x00c0_0000_1000, 0x0400_0000_4000, 0x07c0_0000_0800],
    ['go-windows-x2', 0x00c0_0000_1007, 0x0280_0000_2000, 0x07c0_0000_0800],
    ['node-x4', 0x1000, 0x4000_0000_4000, 0x5000_0000_0800],
  ])('%s', (name, address, shadow, metainfo) => {
    const layout = layoutByName(name);
    const at = { start: address, end: address };
    expect([shadowSpan(layout, at).start, metainfoSpan(layout, at)?.start]).toEqual([shadow, metainfo]);
  });

  it('the default is the first', () => {
    expect(LAYOUT_NAMES[0]).toBe(DEFAULT_LAYOUT);
    expect(new Set(LAYOUT_NAMES).size).toBe(6);
  });
});

describe('a layout of one’s own', () => {
  const heap = { name: 'heap', start: 0x1_0000_0000, end: 0x2_0000_0000 };
  const good: Layout = {
    name: 'own',
    application: [heap],
    shadow: { base: 0x4300_0000_0000, multiplier: 2 },
    metainfo: { base: 0x5300_0000_0000 },
  };
  const shadowEnd = good.shadow.base + heap.end * 2;

  it('is copied, so that nobody changes it afterwards', () => {
    const given = structuredClone(good) as { application: { end: number }[] } & Layout;
    const checked = checkedLayout(given);
    for (const range of given.application) range.end = 2 ** 52;
    expect(checked).toEqual(good);
    expect(() => Object.assign(checked.shadow, { multiplier: 8 })).toThrow(TypeError);
    expect(() => Object.assign(layoutByName('node-x4').shadow, { base: 0 })).toThrow(TypeError);
  });

  it('may have bigints, and no metainfo', () => {
    const given = { ...good, metainfo: null, shadow: { base: 0x4300_0000_0000n, multiplier: 2 } };
    expect(checkedLayout(given as unknown as Layout)).toEqual({ ...good, metainfo: null });
  });

  it.each<[string, unknown, RegExp]>([
    ['is null', null, /is the name of one .* or an object/],
    ['is a number', 5, /is the name of one/],
    ['has no name', { ...good, name: undefined }, /is the name of one/],
    ['has no application', { ...good, application: undefined }, /no application ranges/],
    ['has empty application', { ...good, application: [] }, /no application ranges/],
    ['has a range that is null', { ...good, application: [null] }, /start of application range range 0/],
    [
      'has a range by symbol',
      { ...good, application: [{ ...heap, name: Symbol('x') }, heap] },
      /out of order/,
    ],
    ['has a range without an end', { ...good, application: [{ name: 'h', start: 1 }] }, /end of application/],
    [
      'has an empty range',
      { ...good, application: [{ ...heap, end: heap.start }] },
      /empty application range/,
    ],
    [
      'has a range backwards',
      { ...good, application: [{ ...heap, end: 1 }] },
      /empty application range heap/,
    ],
    ['has a fraction', { ...good, application: [{ ...heap, end: 2 ** 40 + 0.5 }] }, /whole number/],
    [
      'has ranges that overlap',
      { ...good, application: [heap, { name: 'b', start: heap.end - 1, end: 2 ** 40 }] },
      /out of order or share/,
    ],
    [
      'has ranges in one segment',
      {
        ...good,
        application: [
          { name: 'a', start: 0x1000, end: 0x2000 },
          { name: 'b', start: 0x3000, end: 0x4000 },
        ],
      },
      /share 256 MiB-aligned memory: move b/,
    ],
    ['has no shadow', { ...good, shadow: null }, /base of shadow/],
    ['has shadow as number', { ...good, shadow: 5 }, /base of shadow/],
    ['has a multiplier of 3', { ...good, shadow: { ...good.shadow, multiplier: 3 } }, /one of 1, 2, 4, 8/],
    [
      'has a multiplier by word',
      { ...good, shadow: { ...good.shadow, multiplier: '4' } },
      /one of 1, 2, 4, 8/,
    ],
    ['has an odd base', { ...good, shadow: { base: 0x4300_0000_1000, multiplier: 2 } }, /multiple of 64 KiB/],
    ['has a negative base', { ...good, shadow: { base: -65536, multiplier: 2 } }, /whole number/],
    ['has no word on metainfo', { ...good, metainfo: undefined }, /base of metainfo/],
    ['has metainfo elsewhere', { ...good, metainfo: { base: 1 } }, /metainfo base that is not/],
    ['has shadow on the application', { ...good, shadow: { base: 0, multiplier: 1 } }, /overlap/],
    [
      'has shadow on its metainfo',
      { ...good, metainfo: { base: good.shadow.base + 6 * 2 ** 30 } },
      /overlap/,
    ],
    [
      'has shadow beyond all addresses',
      { ...good, shadow: { base: Math.floor(geometry().addressEnd / 2 ** 33) * 2 ** 33, multiplier: 8 } },
      /beyond/,
    ],
    [
      'has shadow beyond all numbers',
      { ...good, shadow: { base: 2 ** 53 - 65536, multiplier: 8 } },
      /beyond/,
    ],
    [
      'has a span that is too small',
      { ...good, shadow: { ...good.shadow, span: { start: good.shadow.base, end: shadowEnd - 1 } } },
      /does not hold the shadow of heap: widen it/,
    ],
    ['has a span that is none', { ...good, shadow: { ...good.shadow, span: 7 } }, /start of shadow span/],
    [
      'has spans that overlap, though what is in them does not',
      { ...good, shadow: { ...good.shadow, span: { start: good.shadow.base, end: 0x5400_0000_0000 } } },
      /overlap/,
    ],
  ])('is refused if it %s', (_, layout, words) => {
    const error = refusalOf(() => new Shadow({ layout: layout as Layout }));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARGUMENT', verb: 'layout' });
    expect(error.message).toMatch(words);
  });

  it('is refused if two of its spans share a unit in which memory is reserved', () => {
    const application = [{ name: 'heap', start: heap.start, end: heap.end - 0x1000 }]; // shadow ends 8 KiB short
    const metainfo = (base: number) => ({ ...good, application, metainfo: { base: base - heap.start / 2 } });
    expect(checkedLayout(metainfo(shadowEnd))).toMatchObject({ name: 'own' });
    // Shadow ends 0x200 bytes into a unit, and the metainfo begins 0x800 bytes into it.
    const near = { ...heap, start: heap.start + 0x1000, end: heap.end - 0x7f00 };
    const shared = { ...metainfo(shadowEnd - 0x10000), application: [near] };
    expect(() => checkedLayout(shared)).toThrow(/in units of 64 KiB/);
  });
});

describe('withHeapBytes', () => {
  it('cuts the last range, and says how much there is', () => {
    const layout = layoutByName('go-unix-x4');
    const cut = withHeapBytes(layout, 2 ** 30);
    expect(cut.application).toEqual([
      layout.application[0],
      { name: 'heap', start: 0x00c0_0000_0000, end: 0x00c0_0000_0000 + 2 ** 30 },
    ]);
    expect([cut.shadow.span, cut.metainfo?.span]).toEqual([undefined, undefined]);
    expect(withHeapBytes(layout, 2 ** 37).application).toEqual(layout.application);
    expectRefusal(() => withHeapBytes(layout, 2 ** 37 + 1), { code: 'ERR_INVALID_ARGUMENT', verb: 'layout' });
  });
});
