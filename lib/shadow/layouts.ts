/**
 * Layouts: address tables that say where the shadow of application memory lies. A layout is data; nothing else
 * in the project knows an address of Go's or anyone's.
 *
 *     shadow(address)   = shadow.base   + (address / 8) * 8 * multiplier
 *     metainfo(address) = metainfo.base + (address / 8) * 4
 *
 * Go writes its Unix tables with OR instead of plus; the bits do not overlap there, so the two agree
 * (test/shadow/layouts.test.ts samples every range). Sources: Go's runtime/race and ThreadSanitizer's
 * tsan_platform.h, as tables; multiplier 4 is 2012's (four 8-byte cells for each 8 bytes), 2 is 2022's.
 */

import { addon } from '../native/addon.js';
import { oneOf, wholeNumber } from '../native/arguments.js';
import { formatAddress, LazyShadowError } from '../native/errors.js';
import { GRANULE_BYTES, SEGMENT_BYTES } from './segment.js';

/** Addresses from `start` up to, but not including, `end`. */
export interface AddressSpan {
  /** First address. */
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
}

/** A range of application memory that may have shadow. */
export interface ApplicationRange extends AddressSpan {
  /** What it is for: `data` and `heap` in the built-in layouts. */
  readonly name: string;
}

/** Where shadow and metainfo of application memory lie. */
export interface Layout {
  /** What errors and results call it. */
  readonly name: string;
  /** Ascending; no two may share a 256 MiB-aligned segment. */
  readonly application: readonly ApplicationRange[];
  /** Where the shadow lies. */
  readonly shadow: {
    /** Address of the shadow of address 0; a multiple of 64 KiB. */
    readonly base: number;
    /** Shadow bytes for each application byte: 1, 2, 4 or 8. */
    readonly multiplier: number;
    /** What is reserved for the shadow, if more than the shadow of each application range. */
    readonly span?: AddressSpan;
  };
  /** 4 bytes for each 8 application bytes, for sync objects and spilled cells; null if the user needs none. */
  readonly metainfo: {
    /** Address of the metainfo of address 0; a multiple of 64 KiB. */
    readonly base: number;
    /** What is reserved for it, if more than the metainfo of each application range. */
    readonly span?: AddressSpan;
  } | null;
}

/** Bytes of metainfo for each 8-byte granule. */
export const METAINFO_BYTES_PER_GRANULE = 4;

/** Shadow bytes for each application byte may be these. */
const MULTIPLIERS: readonly number[] = [1, 2, 4, 8];

/** Shadow spans begin at multiples of this: the largest page size and granularity of any platform. */
const BASE_ALIGNMENT = 0x10000;

/** Go's executable, data and bss, and its heap, on every 64-bit system (runtime/malloc.go's 0x00c0 hint). */
const GO_APPLICATION: readonly ApplicationRange[] = [
  { name: 'data', start: 0x1000, end: 0x1000_0000 },
  { name: 'heap', start: 0x00c0_0000_0000, end: 0x00e0_0000_0000 },
];

function goUnix(multiplier: 2 | 4): Layout {
  const base = 0x2000_0000_0000;
  return {
    name: `go-unix-x${multiplier}`,
    application: GO_APPLICATION,
    shadow: { base, multiplier, span: { start: base, end: base + 0x00e0_0000_0000 * multiplier } },
    metainfo: { base: 0x3000_0000_0000, span: { start: 0x3000_0000_0000, end: 0x4000_0000_0000 } },
  };
}

function goWindows(multiplier: 2 | 4): Layout {
  const base = 0x0100_0000_0000;
  return {
    name: `go-windows-x${multiplier}`,
    application: GO_APPLICATION,
    shadow: { base, multiplier, span: { start: base, end: base + 0x00e0_0000_0000 * multiplier } },
    metainfo: { base: 0x0760_0000_0000, span: { start: 0x0760_0000_0000, end: 0x07d0_0000_0000 } },
  };
}

/**
 * The same translation, with its shadow where V8 does not map: V8 scatters pages at random below 0x4000 0000 0000,
 * and took Go's own base in one start out of four.
 */
function node(multiplier: 2 | 4): Layout {
  return {
    name: `node-x${multiplier}`,
    application: GO_APPLICATION,
    shadow: { base: 0x4000_0000_0000, multiplier },
    metainfo: { base: 0x5000_0000_0000 },
  };
}

/** The same layout, which nobody can change: what was checked stays true. */
function frozen(layout: Layout): Layout {
  for (const range of layout.application) Object.freeze(range);
  Object.freeze(layout.application);
  for (const plane of [layout.shadow, layout.metainfo]) {
    Object.freeze(plane?.span);
    Object.freeze(plane);
  }
  return Object.freeze(layout);
}

/** The built-in layouts; the first is the default. */
const BUILT_IN: readonly Layout[] = [node(4), node(2), goUnix(4), goUnix(2), goWindows(4), goWindows(2)].map(
  frozen,
);

/** Names of the built-in layouts; the first is the default. */
export const LAYOUT_NAMES: readonly string[] = BUILT_IN.map((layout) => layout.name);

/** The layout that is used when none is named. */
export const DEFAULT_LAYOUT = 'node-x4';

/**
 * The layout of the commands that only look for races. Two cells a granule find the same as four, in half the shadow and mostly in
 * less time, for fresh pages are what it costs most of (docs/performance.md).
 */
export const REPLAY_LAYOUT = 'node-x2';

/**
 * The built-in layout of a name.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, naming all there are
 */
export function layoutByName(name: string): Layout {
  const known = oneOf('layout', 'layout', name, LAYOUT_NAMES);
  return BUILT_IN.find((layout) => layout.name === known) ?? node(4);
}

function invalid(name: string, what: string): LazyShadowError {
  return new LazyShadowError('ERR_INVALID_ARGUMENT', `The layout ${JSON.stringify(name)} ${what}`, {
    verb: 'layout',
  });
}

/** The value, if it has properties at all; else something that has none. */
function propertiesOf(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}

/** Where the shadow and metainfo of a range lie, before anything moved. */
export function shadowSpan(layout: Layout, range: AddressSpan): AddressSpan {
  return targetSpan(layout.shadow.base, GRANULE_BYTES * layout.shadow.multiplier, range);
}

/** As {@link shadowSpan}, for metainfo. */
export function metainfoSpan(layout: Layout, range: AddressSpan): AddressSpan | null {
  return layout.metainfo && targetSpan(layout.metainfo.base, METAINFO_BYTES_PER_GRANULE, range);
}

function targetSpan(base: number, bytesPerGranule: number, { start, end }: AddressSpan): AddressSpan {
  return {
    start: base + Math.floor(start / GRANULE_BYTES) * bytesPerGranule,
    end: base + Math.ceil(end / GRANULE_BYTES) * bytesPerGranule,
  };
}

/** Start and end as numbers; what is wrong with them is said of `what`. */
function checkedSpan(layout: string, what: string, given: unknown): AddressSpan {
  const { start, end }: { start?: unknown; end?: unknown } = propertiesOf(given);
  const span = {
    start: wholeNumber('layout', `the start of ${what}`, start),
    end: wholeNumber('layout', `the end of ${what}`, end),
  };
  if (span.start >= span.end) throw invalid(layout, `has an empty ${what}: its end must be above its start.`);
  return span;
}

function checkedApplication(layout: string, given: unknown): ApplicationRange[] {
  if (!Array.isArray(given) || given.length === 0) {
    throw invalid(layout, 'has no application ranges: give at least one {name, start, end}.');
  }
  let lastSegment = -1;
  return given.map((range: unknown, i) => {
    const { name: own }: { name?: unknown } = propertiesOf(range);
    const name = typeof own === 'string' ? own : `range ${i}`;
    const { start, end } = checkedSpan(layout, `application range ${name}`, range);
    if (Math.floor(start / SEGMENT_BYTES) <= lastSegment) {
      throw invalid(
        layout,
        `has application ranges that are out of order or share 256 MiB-aligned memory: move ${name}.`,
      );
    }
    lastSegment = Math.floor((end - 1) / SEGMENT_BYTES);
    return { name, start, end };
  });
}

/** Base and span of one plane. */
function checkedPlane(layout: string, plane: string, given: unknown): { base: number; span?: AddressSpan } {
  const { base: wanted, span }: { base?: unknown; span?: unknown } = propertiesOf(given);
  const base = wholeNumber('layout', `the base of ${plane}`, wanted);
  if (base % BASE_ALIGNMENT !== 0) {
    throw invalid(layout, `has a ${plane} base that is not a multiple of 64 KiB: round it.`);
  }
  return span === undefined ? { base } : { base, span: checkedSpan(layout, `${plane} span`, span) };
}

function checkedMultiplier(layout: string, given: unknown): number {
  const { multiplier: wanted }: { multiplier?: unknown } = propertiesOf(given);
  const multiplier = MULTIPLIERS.find((known) => known === wanted);
  if (multiplier === undefined) {
    throw invalid(layout, `must have a shadow multiplier that is one of ${MULTIPLIERS.join(', ')}.`);
  }
  return multiplier;
}

/** The span that is reserved for one plane, by what it is for: the plane's own, or one for each application range. */
function reservedSpans(
  layout: Layout,
  plane: 'shadow' | 'metainfo',
  targetOf: (range: AddressSpan) => AddressSpan,
): [string, AddressSpan][] {
  const whole = layout[plane]?.span;
  const targets = layout.application.map((range): [string, AddressSpan] => [
    `${plane} of ${range.name}`,
    targetOf(range),
  ]);
  if (whole === undefined) return targets;
  for (const [what, target] of targets) {
    if (target.start >= whole.start && target.end <= whole.end) continue;
    throw invalid(
      layout.name,
      `has a ${plane} span that does not hold the ${what}: widen it, or leave it out.`,
    );
  }
  return [[`${plane} span`, whole]];
}

/**
 * Checks a layout that a caller made: shapes, order, alignment, and that no two of its spans overlap.
 * @returns a copy of its own that cannot be changed, all numbers
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, saying what is wrong with which part
 */
export function checkedLayout(given: Layout): Layout {
  const parts: { [Part in keyof Layout]?: unknown } = propertiesOf(given);
  const { name } = parts;
  if (typeof name !== 'string') {
    throw new LazyShadowError(
      'ERR_INVALID_ARGUMENT',
      `A layout is the name of one (${LAYOUT_NAMES.join(', ')}) or an object {name, application, shadow, metainfo}.`,
      { verb: 'layout' },
    );
  }
  const application = checkedApplication(name, parts.application);
  const shadow = checkedPlane(name, 'shadow', parts.shadow);
  const multiplier = checkedMultiplier(name, parts.shadow);
  const metainfo = parts.metainfo === null ? null : checkedPlane(name, 'metainfo', parts.metainfo);
  const layout: Layout = { name, application, shadow: { ...shadow, multiplier }, metainfo };

  const spans = reservedSpans(layout, 'shadow', (range) => shadowSpan(layout, range));
  if (metainfo !== null) {
    spans.push(...reservedSpans(layout, 'metainfo', (range) => metainfoSpan(layout, range) ?? range));
  }
  // They are reserved in whole units, so they must not share one.
  const taken = spans.map(([what, { start, end }]): [string, AddressSpan] => [
    what,
    {
      start: Math.floor(start / BASE_ALIGNMENT) * BASE_ALIGNMENT,
      end: Math.ceil(end / BASE_ALIGNMENT) * BASE_ALIGNMENT,
    },
  ]);
  taken.push(
    ...application.map((range): [string, AddressSpan] => [`application range ${range.name}`, range]),
  );
  taken.sort(([, a], [, b]) => a.start - b.start);
  const { addressEnd } = addon().geometry();
  for (const [i, [what, span]] of taken.entries()) {
    if (span.end > addressEnd) {
      throw invalid(name, `has its ${what} beyond ${formatAddress(addressEnd)}: move it down.`);
    }
    const next = taken[i + 1];
    if (next && next[1].start < span.end) {
      throw invalid(
        name,
        `has its ${what} overlap its ${next[0]}, in units of 64 KiB: move one of the bases.`,
      );
    }
  }
  return frozen(layout);
}

/**
 * The layout with its heap (the last application range) cut to a size, and only what that needs reserved: for
 * emulators and machines that cannot take terabytes of reservation.
 */
export function withHeapBytes(layout: Layout, heapBytes: number): Layout {
  const application = [...layout.application];
  const heap = application.pop();
  if (heap === undefined || heap.start + heapBytes > heap.end) {
    const largest = heap === undefined ? 0 : heap.end - heap.start;
    throw invalid(layout.name, `has no room for a heap of ${heapBytes} bytes. Ask for at most ${largest}.`);
  }
  application.push({ ...heap, end: heap.start + heapBytes });
  return frozen({
    name: layout.name,
    application,
    shadow: { base: layout.shadow.base, multiplier: layout.shadow.multiplier },
    metainfo: layout.metainfo && { base: layout.metainfo.base },
  });
}
