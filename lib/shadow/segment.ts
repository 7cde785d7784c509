/**
 * Segments: how code that keeps cells reaches the shadow without a native call.
 *
 * A segment is 256 MiB of application memory, aligned, together with the windows (typed arrays) onto its
 * shadow and its metainfo. 256 MiB, because its shadow at multiplier 4 is then 1 GiB: indices stay inside V8's
 * small integers, and Node 20 allows no buffer over 4 GiB. A 48-bit address splits into the segment's index
 * (the upper 20 bits) and the granule within it (the lower 28 bits, by 8), so no bigint and no double is needed:
 *
 *      47            28 27                     3 2   0
 *     +----------------+------------------------+-----+
 *     | segment index  | granule                | byte|
 *     +----------------+------------------------+-----+
 *
 * Invariant, and the one rule for code that uses a window: it spans memory that may be neither committed nor
 * ours, so a page is read only if its state is PAGE_TOUCHED, and written only after `touchShadow` or
 * `touchMetainfo` has made it so. A page that is not PAGE_TOUCHED holds zeros, whatever the policy. And a window keeps
 * no memory: whoever has one holds the ShadowMemory that it came from too, after whose release every state is
 * PAGE_UNMAPPED.
 * Windows never leave lib/: what the public gets is `bytes()`.
 */

/** log2 of the application bytes of a segment. */
export const SEGMENT_SHIFT = 28;

/** Application bytes of a segment: 256 MiB. */
export const SEGMENT_BYTES = 2 ** SEGMENT_SHIFT;

// Of an address in two words a segment's index is (high << SEGMENT_LOW_BITS) | (low >>> SEGMENT_SHIFT), and the byte in it is
// low & SEGMENT_MASK.
export const SEGMENT_LOW_BITS = 32 - SEGMENT_SHIFT;
export const SEGMENT_MASK = SEGMENT_BYTES - 1;

/** Application bytes that share their cells: a granule. */
export const GRANULE_BYTES = 8;

/** log2 of GRANULE_BYTES. */
export const GRANULE_SHIFT = 3;

/** The page belongs to no mapped shadow: accesses there are ignored. */
export const PAGE_UNMAPPED = 0;

/** The page belongs to mapped shadow that was never written: it holds zeros, and may not be committed yet. */
export const PAGE_MAPPED = 1;

/** The page is committed and may hold anything. */
export const PAGE_TOUCHED = 2;

/** The windows of one segment. Word and byte indices count from the segment's first application byte. */
export interface ShadowSegment {
  /** Application address divided by 256 MiB. */
  readonly index: number;
  /** The shadow as 32-bit words: granule g has the words from g * wordsPerGranule on. */
  readonly shadow: Int32Array;
  /** A state for each operating-system page of `shadow`: PAGE_UNMAPPED, PAGE_MAPPED or PAGE_TOUCHED. */
  readonly shadowPages: Uint8Array;
  /** The metainfo: one 32-bit word for each granule. Length 0 if the layout has none. */
  readonly metainfo: Int32Array;
  /** A state for each operating-system page of `metainfo`. */
  readonly metainfoPages: Uint8Array;
}

/** How the words of a shadow lie. */
export interface ShadowGeometry {
  /** 32-bit shadow words for each granule: 8 at multiplier 4, 4 at multiplier 2. */
  readonly wordsPerGranule: number;
  /** log2 of the bytes of window that one page state stands for. */
  readonly pageShift: number;
}

/** What a detector needs of a shadow. `Shadow` implements it; a test may bring a simpler one. */
export interface ShadowMemory extends ShadowGeometry {
  /**
   * The windows of segment `index`, or undefined while no shadow of it is mapped.
   * The answer stays valid, and the same object, until the shadow is released.
   */
  segment(index: number): ShadowSegment | undefined;
  /**
   * Makes the pages of `[firstByte, firstByte + byteLength)` of the segment's shadow window PAGE_TOUCHED, committing
   * them if the policy is to commit on touch. Pages that are PAGE_UNMAPPED are left alone.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY; nothing is changed then.
   */
  touchShadow(segment: ShadowSegment, firstByte: number, byteLength: number): void;
  /** As touchShadow, for the metainfo window. */
  touchMetainfo(segment: ShadowSegment, firstByte: number, byteLength: number): void;
  /** Tells of application memory whose shadow will be used, or no longer: see `Shadow.mapShadow`, `unmapShadow`. */
  mapShadow(address: number, sizeBytes: number): void;
  unmapShadow(address: number, sizeBytes: number): void;
  /**
   * Makes the shadow (not the metainfo) of an application range read as zeros, giving large parts back to the
   * operating system where that is cheaper than writing; pages never touched cost nothing.
   */
  clearShadow(address: number, sizeBytes: number): void;
}
