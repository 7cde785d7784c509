/**
 * Go's msize.c: which sizes small objects come in, computed and not pasted.
 *
 * Sizes grow in steps of at most an eighth; for each, a span of as few pages as leave at most an eighth of it
 * unused. Two sizes of which the same number fits into the same pages are one class, the larger.
 *
 * Invariants: `classToSize` ascends; `sizeToClass(size)` is the first class that holds `size`; class 0 is "large".
 */
import { LazyShadowError } from '../native/errors.js';

/** Larger objects get a span of their own. */
export const MaxSmallSize = 32 * 1024;

/** Go's page size at the time of the change is 2^12; later trees use 2^13. */
export type PageShift = 12 | 13;

/** The classes that Go's table must have, class 0 ("large") included: a check of the computation, as in InitSizes. */
const NumSizeClasses: Record<PageShift, number> = { 12: 61, 13: 67 };

/** Bytes that a cache asks of, or gives back to, a central list at a time, if 2 … 32 objects make them up. */
const TRANSFER_BYTES = 64 * 1024;
const MIN_TRANSFER = 2;
const MAX_TRANSFER = 32;

/** The tables of msize.c for one page size. */
export interface SizeClasses {
  readonly pageShift: PageShift;
  /** Number of classes, class 0 included. */
  readonly count: number;
  readonly classToSize: Int32Array;
  readonly classToAllocNpages: Int32Array;
  readonly classToTransferCount: Int32Array;
  /**
   * The class of `size` is at index (size + 7) >> 3, for 0 … MaxSmallSize (0 counts as 1). Go has two tables (by
   * 8 up to 1 KiB, by 128 from there on) to save 3.8 KiB; one table is one branch fewer.
   */
  readonly sizeToClass8: Uint8Array;
}

/** How far size classes lie apart at `size`; `previous` is the step before. */
function stepAt(size: number, previous: number): number {
  const isPowerOfTwo = (size & (size - 1)) === 0;
  if (!isPowerOfTwo) return previous;
  if (size >= 2048) return 256;
  if (size >= 128) return size / 8;
  if (size >= 16) return 16; // what SSE instructions want
  return previous;
}

/** Bytes of the smallest span of objects of `size` that leaves at most an eighth unused. */
function spanBytesFor(size: number, pageSize: number): number {
  let bytes = pageSize;
  while (bytes % size > bytes / 8) bytes += pageSize;
  return bytes;
}

function initSizes(pageShift: PageShift): SizeClasses {
  const pageSize = 1 << pageShift;
  const sizes = [0];
  const pages = [0];
  let step = 8;
  for (let size = 8; size <= MaxSmallSize; size += step) {
    step = stepAt(size, step);
    const spanBytes = spanBytesFor(size, pageSize);
    const last = sizes.length - 1;
    const lastSize = sizes[last] as number;
    const sameSpan =
      last > 0 &&
      spanBytes >> pageShift === pages[last] &&
      Math.floor(spanBytes / size) === Math.floor(spanBytes / lastSize);
    if (sameSpan) {
      sizes[last] = size;
    } else {
      sizes.push(size);
      pages.push(spanBytes >> pageShift);
    }
  }
  if (sizes.length !== NumSizeClasses[pageShift]) {
    throw new LazyShadowError(
      'ERR_CORRUPT',
      `InitSizes: ${sizes.length} size classes at page shift ${pageShift}, Go has ${NumSizeClasses[pageShift]}. Please report this.`,
    );
  }
  const sizeToClass8 = new Uint8Array((MaxSmallSize >> 3) + 1);
  let sizeclass = 1;
  for (let i = 0; i < sizeToClass8.length; i++) {
    while (i * 8 > (sizes[sizeclass] as number)) sizeclass++;
    sizeToClass8[i] = sizeclass;
  }
  const transfer = sizes.map((size) =>
    size === 0 ? 0 : Math.min(MAX_TRANSFER, Math.max(MIN_TRANSFER, Math.floor(TRANSFER_BYTES / size))),
  );
  return {
    pageShift,
    count: sizes.length,
    classToSize: Int32Array.from(sizes),
    classToAllocNpages: Int32Array.from(pages),
    classToTransferCount: Int32Array.from(transfer),
    sizeToClass8,
  };
}

const tables = new Map<PageShift, SizeClasses>();

/** The size classes for a page size, computed at the first call. */
export function sizeClasses(pageShift: PageShift): SizeClasses {
  let classes = tables.get(pageShift);
  if (classes === undefined) {
    classes = initSizes(pageShift);
    tables.set(pageShift, classes);
  }
  return classes;
}

/** The class of an object of `size` bytes, 0 for a large one. */
export function sizeToClass(classes: SizeClasses, size: number): number {
  return size > MaxSmallSize ? 0 : (classes.sizeToClass8[(size + 7) >> 3] as number);
}
