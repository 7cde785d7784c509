/**
 * What a layout is to the native map: the spans of addresses that its planes want, and the arithmetic from application
 * memory into them.
 */

import type { NativePlane } from '../native/addon.js';
import {
  type AddressSpan,
  type Layout,
  METAINFO_BYTES_PER_GRANULE,
  metainfoSpan,
  shadowSpan,
} from './layouts.js';
import { GRANULE_BYTES } from './segment.js';

interface Plane {
  readonly plane: 'shadow' | 'metainfo';
  readonly bytesPerGranule: number;
  readonly base: number;
  readonly wholeSpan: AddressSpan | undefined;
  readonly spanOf: (range: AddressSpan) => AddressSpan;
}

function planesOf(layout: Layout): Plane[] {
  const { shadow, metainfo } = layout;
  const planes: Plane[] = [
    {
      plane: 'shadow',
      bytesPerGranule: GRANULE_BYTES * shadow.multiplier,
      base: shadow.base,
      wholeSpan: shadow.span,
      spanOf: (range) => shadowSpan(layout, range),
    },
  ];
  if (metainfo) {
    planes.push({
      plane: 'metainfo',
      bytesPerGranule: METAINFO_BYTES_PER_GRANULE,
      base: metainfo.base,
      wholeSpan: metainfo.span,
      spanOf: (range) => metainfoSpan(layout, range) ?? range,
    });
  }
  return planes;
}

/** The address arithmetic of a layout, and the spans of addresses it needs, in whole allocation units. */
export function designOf(layout: Layout, allocationGranularityBytes: number) {
  const spans: { plane: 'shadow' | 'metainfo'; address: number; sizeBytes: number }[] = [];
  const addSpan = (plane: 'shadow' | 'metainfo', { start, end }: AddressSpan): number => {
    const unit = allocationGranularityBytes;
    const address = Math.floor(start / unit) * unit;
    return spans.push({ plane, address, sizeBytes: Math.ceil(end / unit) * unit - address }) - 1;
  };
  const planes = planesOf(layout);
  const whole = planes.map(({ plane, wholeSpan }) => wholeSpan && addSpan(plane, wholeSpan));
  const regions = layout.application.map((range) => ({
    address: range.start,
    sizeBytes: range.end - range.start,
    planes: planes.map(({ plane, bytesPerGranule, base, spanOf }, i): NativePlane => {
      return { bytesPerGranule, origin: base, span: whole[i] ?? addSpan(plane, spanOf(range)) };
    }),
  }));
  return { spans, regions };
}
