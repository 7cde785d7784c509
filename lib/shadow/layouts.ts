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
  readonly start: number;
  readonly end: number;
}

/** A range of application memory that may have shadow. */
export interface ApplicationRange extends AddressSpan {
  /** What it is for: `data` and `heap` in the built-in layouts. */
  readonly name: string;
}

/** Where shadow and metainfo of application memory lie. */
export interface Layout {
  readonly name: string;
  /** Ascending; no two may share a 256 MiB-aligned segment. */
  readonly application: readonly ApplicationRange[];
  readonly shadow: {
    /** Address of the shadow of address 0; a multiple of 64 KiB. */
    readonly base: number;
    /** Shadow bytes for each application byte: 1, 2, 4 or 8. */
    readonly multiplier: number;
    /** What is reserved for the shadow, if more than the shadow of each application range. */
    readonly span?: AddressSpan;
  };
  /** 4 bytes for each 8 application bytes, for sync objects and spilled cells; null if the user needs none. */
  readonly metainfo: { readonly base: number; readonly span?: AddressSpan } | null;
}

/** Bytes of metainfo for each 8-byte granule. */
export const METAINFO_BYTES_PER_GRANULE = 4;

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

/** The built-in layouts; the first is the default. */
const BUILT_IN: readonly Layout[] = [node(4), node(2), goUnix(4), goUnix(2), goWindows(4), goWindows(2)];

/** Names of the built-in layouts; the first is the default. */
export const LAYOUT_NAMES: readonly string[] = BUILT_IN.map((layout) => layout.name);

/** The layout that is used when none is named. */
export const DEFAULT_LAYOUT = 'node-x4';

/**
 * The built-in layout of a name.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, naming all there are
 */
export function layoutByName(name: string): Layout {
  const known = oneOf('layout', 'layout', name, LAYOUT_NAMES);
  return BUILT_IN.find((layout) => layout.name === known) ?? node(4);
}

function invalid(layout: Layout, what: string): LazyShadowError {
  return new LazyShadowError('ERR_INVALID_ARGUMENT', `The layout ${JSON.stringify(layout.name)} ${what}`, {
    verb: 'layout',
  });
}

function checkedSpan(what: string, span: AddressSpan): AddressSpan {
  const start = wholeNumber('layout', `${what} start`, span?.start);
  const end = wholeNumber('layout', `${what} end`, span?.end);
  return { start, end };
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

/**
 * Checks a layout that a caller made: shapes, order, alignment, and that no two of its spans overlap.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, saying what is wrong with which part
 */
export function checkedLayout(layout: Layout): Layout {
  if (typeof layout !== 'object' || layout === null || typeof layout.name !== 'string') {
    throw new LazyShadowError(
      'ERR_INVALID_ARGUMENT',
      `A layout is the name of one (${LAYOUT_NAMES.join(', ')}) or an object {name, application, shadow, metainfo}.`,
      { verb: 'layout' },
    );
  }
  if (!Array.isArray(layout.application) || layout.application.length === 0) {
    throw invalid(layout, 'has no application ranges: give at least one {name, start, end}.');
  }
  if (typeof layout.shadow !== 'object' || layout.shadow === null) {
    throw invalid(layout, 'has no shadow: give {base, multiplier}.');
  }
  if (![1, 2, 4, 8].includes(layout.shadow.multiplier)) {
    throw invalid(layout, 'must have a shadow multiplier of 1, 2, 4 or 8.');
  }
  if (typeof layout.metainfo !== 'object')
    throw invalid(layout, 'must have metainfo {base}, or null for none.');
  for (const [plane, part] of [
    ['shadow', layout.shadow],
    ['metainfo', layout.metainfo],
  ] as const) {
    if (part === null) continue;
    const base = wholeNumber('layout', `${plane} base`, part.base);
    if (base % BASE_ALIGNMENT !== 0)
      throw invalid(layout, `has a ${plane} base that is not a multiple of 64 KiB.`);
  }

  const { addressEnd } = addon().geometry();
  let lastSegment = -1;
  const spans: [string, AddressSpan][] = [];
  for (const range of layout.application) {
    const { start, end } = checkedSpan(`application range ${range?.name}`, range);
    if (start >= end) throw invalid(layout, `has an empty application range ${range.name}.`);
    if (Math.floor(start / SEGMENT_BYTES) <= lastSegment) {
      throw invalid(layout, 'has application ranges that are out of order or share 256 MiB-aligned memory.');
    }
    lastSegment = Math.floor((end - 1) / SEGMENT_BYTES);
    spans.push([`application range ${range.name}`, range]);
    spans.push([`shadow of ${range.name}`, shadowSpan(layout, range)]);
    const metainfo = metainfoSpan(layout, range);
    if (metainfo) spans.push([`metainfo of ${range.name}`, metainfo]);
  }
  for (const [plane, part] of [
    ['shadow', layout.shadow],
    ['metainfo', layout.metainfo],
  ] as const) {
    if (!part?.span) continue;
    const span = checkedSpan(`${plane} span`, part.span);
    const targets = layout.application.map((range) =>
      plane === 'shadow' ? shadowSpan(layout, range) : metainfoSpan(layout, range),
    );
    if (targets.some((target) => target !== null && (target.start < span.start || target.end > span.end))) {
      throw invalid(layout, `has a ${plane} span that does not hold the ${plane} of all its ranges.`);
    }
  }
  spans.sort(([, a], [, b]) => a.start - b.start);
  for (const [i, [name, span]] of spans.entries()) {
    if (span.end > addressEnd) throw invalid(layout, `has its ${name} beyond ${formatAddress(addressEnd)}.`);
    const next = spans[i + 1];
    if (next && next[1].start < span.end) throw invalid(layout, `has its ${name} overlap its ${next[0]}.`);
  }
  return layout;
}

/**
 * The layout with its heap (the last application range) cut to a size, and only what that needs reserved: for
 * emulators and machines that cannot take terabytes of reservation.
 */
export function withHeapBytes(layout: Layout, heapBytes: number): Layout {
  const application = [...layout.application];
  const heap = application.pop();
  if (heap === undefined || heap.start + heapBytes > heap.end) {
    throw invalid(layout, `has no room for a heap of ${heapBytes} bytes.`);
  }
  application.push({ ...heap, end: heap.start + heapBytes });
  return {
    name: layout.name,
    application,
    shadow: { base: layout.shadow.base, multiplier: layout.shadow.multiplier },
    metainfo: layout.metainfo && { base: layout.metainfo.base },
  };
}
