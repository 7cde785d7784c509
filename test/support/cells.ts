/**
 * Reads and writes of shadow and metainfo by application address, as a detector makes them: the page state is looked at
 * first, always.
 */
import {
  GRANULE_BYTES,
  PAGE_MAPPED,
  PAGE_TOUCHED,
  PAGE_UNMAPPED,
  SEGMENT_BYTES,
  type ShadowMemory,
  type ShadowSegment,
} from '../../lib/shadow/segment.js';

export type PlaneName = 'shadow' | 'metainfo';

interface Place {
  readonly segment: ShadowSegment;
  readonly words: Int32Array;
  readonly pages: Uint8Array;
  /** Index of the granule's first word. */
  readonly word: number;
}

function placeOf(memory: ShadowMemory, plane: PlaneName, address: number): Place | undefined {
  const index = Math.floor(address / SEGMENT_BYTES);
  const segment = memory.segment(index);
  if (segment === undefined) return undefined;
  const granule = Math.floor((address - index * SEGMENT_BYTES) / GRANULE_BYTES);
  return plane === 'shadow'
    ? { segment, words: segment.shadow, pages: segment.shadowPages, word: granule * memory.wordsPerGranule }
    : { segment, words: segment.metainfo, pages: segment.metainfoPages, word: granule };
}

/** The state of the page that holds an address's first word. */
export function pageState(memory: ShadowMemory, plane: PlaneName, address: number): number {
  const place = placeOf(memory, plane, address);
  return place?.pages[(place.word * 4) >>> memory.pageShift] ?? PAGE_UNMAPPED;
}

/** Writes the first word of an address's granule; false, and nothing happens, where no shadow is mapped. */
export function writeCell(memory: ShadowMemory, plane: PlaneName, address: number, value: number): boolean {
  const place = placeOf(memory, plane, address);
  if (place === undefined) return false;
  const { segment, words, pages, word } = place;
  const page = (word * 4) >>> memory.pageShift;
  if (pages[page] === PAGE_MAPPED) {
    if (plane === 'shadow') memory.touchShadow(segment, word * 4, 4);
    else memory.touchMetainfo(segment, word * 4, 4);
  }
  if (pages[page] !== PAGE_TOUCHED) return false;
  words[word] = value;
  return true;
}

/** The first word of an address's granule: 0 where nothing was written. */
export function readCell(memory: ShadowMemory, plane: PlaneName, address: number): number {
  const place = placeOf(memory, plane, address);
  if (place === undefined || place.pages[(place.word * 4) >>> memory.pageShift] !== PAGE_TOUCHED) return 0;
  return place.words[place.word] ?? 0;
}

/** Pages that are PAGE_TOUCHED in the segments of a range, both planes. */
export function touchedPages(memory: ShadowMemory, start: number, end: number): number {
  let count = 0;
  for (let index = Math.floor(start / SEGMENT_BYTES); index * SEGMENT_BYTES < end; index++) {
    const segment = memory.segment(index);
    if (segment === undefined) continue;
    for (const pages of [segment.shadowPages, segment.metainfoPages]) {
      for (let at = pages.indexOf(PAGE_TOUCHED); at >= 0; at = pages.indexOf(PAGE_TOUCHED, at + 1)) count++;
    }
  }
  return count;
}
