/**
 * The windows of a shadow: segment.ts's {@link ShadowMemory} over a native shadow map.
 *
 * Segments are opened on first use and stay the same objects until the shadow is released. Then every page state says
 * PAGE_UNMAPPED, or is no more: code that kept a segment reaches nothing through it.
 */

import type { NativeShadowMap } from '../native/addon.js';
import { LazyShadowError } from '../native/errors.js';
import { guarded } from '../native/failures.js';
import { clearWindow } from './clear.js';
import type { Layout } from './layouts.js';
import { GRANULE_BYTES, SEGMENT_BYTES, type ShadowMemory, type ShadowSegment } from './segment.js';

/** Planes as native/shadow_map.h numbers them. */
export const SHADOW_PLANE = 0;
const METAINFO_PLANE = 1;

interface Mapper {
  readonly layout: Layout;
  mapShadow(address: number, sizeBytes: number): void;
  unmapShadow(address: number, sizeBytes: number): void;
}

export class ShadowWindows implements ShadowMemory {
  readonly wordsPerGranule: number;
  readonly pageShift: number;
  readonly #shadow: Mapper;
  readonly #segments = new Map<number, ShadowSegment>();
  #map: NativeShadowMap | undefined;

  constructor(shadow: Mapper, map: NativeShadowMap, pageSizeBytes: number) {
    this.#shadow = shadow;
    this.#map = map;
    this.wordsPerGranule = 2 * shadow.layout.shadow.multiplier;
    this.pageShift = Math.log2(pageSizeBytes);
  }

  mapShadow(address: number, sizeBytes: number): void {
    this.#shadow.mapShadow(address, sizeBytes);
  }

  unmapShadow(address: number, sizeBytes: number): void {
    this.#shadow.unmapShadow(address, sizeBytes);
  }

  segment(index: number): ShadowSegment | undefined {
    const known = this.#segments.get(index);
    if (known !== undefined) return known;
    const map = this.#live('segment');
    const shadow = map.openWindow(index, SHADOW_PLANE);
    const shadowPages = map.openPageStates(index, SHADOW_PLANE);
    if (shadow === undefined || shadowPages === undefined) return undefined;
    const segment: ShadowSegment = {
      index,
      shadow: new Int32Array(shadow),
      shadowPages: new Uint8Array(shadowPages),
      metainfo: new Int32Array(map.openWindow(index, METAINFO_PLANE) ?? new ArrayBuffer(0)),
      metainfoPages: new Uint8Array(map.openPageStates(index, METAINFO_PLANE) ?? new ArrayBuffer(0)),
    };
    this.#segments.set(index, segment);
    return segment;
  }

  touchShadow(segment: ShadowSegment, firstByte: number, byteLength: number): void {
    this.#touch(segment, SHADOW_PLANE, firstByte, byteLength);
  }

  touchMetainfo(segment: ShadowSegment, firstByte: number, byteLength: number): void {
    this.#touch(segment, METAINFO_PLANE, firstByte, byteLength);
  }

  clearShadow(address: number, sizeBytes: number): void {
    const map = this.#live('clearShadow');
    const bytesPerGranule = 4 * this.wordsPerGranule;
    const end = address + sizeBytes;
    for (let index = Math.floor(address / SEGMENT_BYTES); index * SEGMENT_BYTES < end; index++) {
      const segment = this.segment(index);
      if (segment === undefined) continue;
      const from = Math.max(0, address - index * SEGMENT_BYTES);
      const to = Math.min(SEGMENT_BYTES, end - index * SEGMENT_BYTES);
      clearWindow(
        segment,
        Math.floor(from / GRANULE_BYTES) * bytesPerGranule,
        Math.ceil(to / GRANULE_BYTES) * bytesPerGranule,
        this.pageShift,
        (firstPage, pageCount) =>
          guarded('clearShadow', () => map.discard(index, SHADOW_PLANE, firstPage, pageCount)),
      );
    }
  }

  /** Forgets the segments, whose page states the native map's release takes back. */
  close(): void {
    this.#segments.clear();
    this.#map = undefined;
  }

  #touch(segment: ShadowSegment, plane: number, firstByte: number, byteLength: number): void {
    const map = this.#live('touch');
    const firstPage = firstByte >>> this.pageShift;
    const lastPage = (firstByte + byteLength - 1) >>> this.pageShift;
    guarded('touch', () => map.touch(segment.index, plane, firstPage, lastPage - firstPage + 1));
  }

  #live(verb: string): NativeShadowMap {
    if (this.#map !== undefined) return this.#map;
    throw new LazyShadowError('ERR_RELEASED', `${verb}: the shadow has been released. Make a new one.`, {
      verb,
    });
  }
}
