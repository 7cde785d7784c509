/**
 * How the heap reads and writes its own memory without a native call: typed arrays over the arena, its bitmap and
 * its page map, a set for each stride of 512 MiB.
 *
 *     address − arenaStart = stride w (upper bits) · byte b in it (lower 29 bits)
 *
 * 512 MiB keeps b and every index a small integer; a data window is a little longer than its stride, so that no
 * small object crosses the end of its window. Addresses stay numbers (they are above 2^32) and are split once.
 *
 * Free lists live in the objects, as in Go. Where Go stores a pointer in an object's first word, the 64-bit form
 * stores the address as a double, JavaScript's own 64-bit number, exact below 2^53; the 32-bit form, whose words
 * have 4 bytes, stores (address − arenaStart) / 8 + 1, which fits because the arena has at most 2 GiB. 0 is nil.
 *
 * Invariant, and the one rule here: a window spans memory that may not be committed, or not be the heap's. Data is
 * touched only below arenaUsed where the bitmap or the page map says that there is a block or a span.
 */
import { formatAddress, LazyShadowError } from '../native/errors.js';
import { MaxSmallSize } from './msize.js';
import type { OsMemory, WindowSet } from './sys.js';

export const STRIDE_SHIFT = 29;
export const STRIDE_BYTES = 2 ** STRIDE_SHIFT;
/** Takes the stride's byte out of an address, rounded down to 8: a block's address survives it, others do not. */
export const STRIDE_MASK = STRIDE_BYTES - 8;
/** Exact, so that multiplying by it divides. */
export const PER_STRIDE = 2 ** -STRIDE_SHIFT;

/** `bitTop` of the 64-bit form, for code that has no time to look. */
export const WIDE_BIT_TOP = STRIDE_BYTES / 16 / 4 - 2;

/**
 * A page's entry is span << 7 | class: free() needs only the class, and 7 bits hold 67 of them. 24 bits are left for
 * the span's number: FixAlloc's largest region has that many records of 64 bytes.
 */
const PAGE_CLASS_BITS = 7;
export const PAGE_CLASS_MASK = (1 << PAGE_CLASS_BITS) - 1;

/** Bytes of a machine word: 8 in the 64-bit form, 4 in the 32-bit form. */
export type WordBytes = 4 | 8;

export class Windows {
  // declare: malloc and free read these, and a field that is first undefined is no constant to V8.
  declare readonly arenaStart: number;
  declare readonly wordBytes: WordBytes;
  declare readonly pageShift: number;
  /** Bytes between arenaStart and arenaUsed. */
  usedBytes = 0;

  /** By stride: the memory in 32-bit words and in doubles, the bitmap, the page map (PAGE_CLASS_BITS). */
  readonly i32: Int32Array[] = [];
  readonly f64: Float64Array[] = [];
  readonly bits: Int32Array[] = [];
  readonly pages: Int32Array[] = [];

  // Where the bits of byte b of a stride are, see mapbits.ts: 32-bit word bitTop − ((b >> bitShift) << bitStep)
  // of the stride's bitmap, bit (b >> wordShift) & wordMask; the second bit of a pair is boundaryShift above.
  declare readonly bitTop: number;
  declare readonly bitShift: number;
  declare readonly bitStep: number;
  declare readonly wordShift: number;
  declare readonly wordMask: number;
  declare readonly boundaryShift: number;
  /** Bytes of bitmap for a stride: 4 bits for each word. */
  declare readonly bitmapBytesPerStride: number;

  readonly #set: WindowSet;

  constructor(os: OsMemory, arenaStart: number, wordBytes: WordBytes, pageShift: number) {
    this.#set = os.newWindows();
    this.arenaStart = arenaStart;
    this.wordBytes = wordBytes;
    this.pageShift = pageShift;
    const wide = wordBytes === 8;
    this.wordShift = wide ? 3 : 2;
    // A bitmap word of 64 bits serves 16 words, one of 32 bits 8; the upper half of the former holds what only a
    // collector needs, so that one 32-bit word of JavaScript holds all there is to read.
    this.wordMask = wide ? 15 : 7;
    this.boundaryShift = wide ? 16 : 8;
    this.bitShift = wide ? 7 : 5;
    this.bitStep = wide ? 1 : 0;
    this.bitmapBytesPerStride = STRIDE_BYTES / (wordBytes * 2);
    this.bitTop = this.bitmapBytesPerStride / 4 - (wide ? 2 : 1);
  }

  /** Opens what windows the first `usedBytes` of the arena need. What a failure leaves open does no harm. */
  openThrough(usedBytes: number): void {
    while (this.i32.length * STRIDE_BYTES < usedBytes) {
      const w = this.i32.length;
      const base = this.arenaStart + w * STRIDE_BYTES;
      const pages = this.#pageMap();
      const data = this.#set.open(base, STRIDE_BYTES + MaxSmallSize);
      const bitmap = this.#set.open(
        this.arenaStart - (w + 1) * this.bitmapBytesPerStride,
        this.bitmapBytesPerStride,
      );
      this.i32.push(new Int32Array(data));
      this.f64.push(new Float64Array(data));
      this.bits.push(new Int32Array(bitmap));
      this.pages.push(pages);
    }
  }

  /** Detaches every array. */
  close(): void {
    this.#set.close();
  }

  /** The span at a page counted from arenaStart, 0 if none; the page must be below arenaUsed or one beyond. */
  spanAt(page: number): number {
    return this.#pageEntry(page) >>> PAGE_CLASS_BITS;
  }

  /** The size class of the objects at a page of a span in use, 0 if it is one large object. */
  classAt(page: number): number {
    return this.#pageEntry(page) & PAGE_CLASS_MASK;
  }

  setSpanAt(page: number, span: number, sizeclass = 0): void {
    const perStride = STRIDE_SHIFT - this.pageShift;
    const map = this.pages[page >> perStride] as Int32Array;
    map[page & ((1 << perStride) - 1)] = (span << PAGE_CLASS_BITS) | sizeclass;
  }

  #pageEntry(page: number): number {
    const perStride = STRIDE_SHIFT - this.pageShift;
    const map = this.pages[page >> perStride];
    return map === undefined ? 0 : (map[page & ((1 << perStride) - 1)] as number);
  }

  pageAddress(page: number): number {
    return this.arenaStart + page * 2 ** this.pageShift;
  }

  /** What a free object's first word points to. */
  link(address: number): number {
    const off = address - this.arenaStart;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    if (this.wordBytes === 8) return (this.f64[w] as Float64Array)[b >> 3] as number;
    const unit = (this.i32[w] as Int32Array)[b >> 2] as number;
    return unit === 0 ? 0 : this.arenaStart + (unit - 1) * 8;
  }

  setLink(address: number, next: number): void {
    const off = address - this.arenaStart;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    if (this.wordBytes === 8) (this.f64[w] as Float64Array)[b >> 3] = next;
    else (this.i32[w] as Int32Array)[b >> 2] = next === 0 ? 0 : (next - this.arenaStart) / 8 + 1;
  }

  /** Whether the second word of a free object says that it is not zero. */
  needsZero(address: number, sizeBytes: number): boolean {
    if (sizeBytes <= this.wordBytes) return false;
    const off = address - this.arenaStart;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    if (this.wordBytes === 8) return (this.f64[w] as Float64Array)[(b >> 3) + 1] !== 0;
    return (this.i32[w] as Int32Array)[(b >> 2) + 1] !== 0;
  }

  /** Marks a free object so: in its second word, if it has one. */
  setNeedsZero(address: number, sizeBytes: number): void {
    if (sizeBytes <= this.wordBytes) return;
    const off = address - this.arenaStart;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    if (this.wordBytes === 8) (this.f64[w] as Float64Array)[(b >> 3) + 1] = 1;
    else (this.i32[w] as Int32Array)[(b >> 2) + 1] = 1;
  }

  /** Zeroes memory of the heap; address and size are multiples of 8. */
  memclr(address: number, sizeBytes: number): void {
    let off = address - this.arenaStart;
    const end = off + sizeBytes;
    while (off < end) {
      const w = Math.floor(off * PER_STRIDE);
      const b = off - w * STRIDE_BYTES;
      const size = Math.min(end - off, STRIDE_BYTES - b);
      (this.f64[w] as Float64Array).fill(0, b >> 3, (b + size) >> 3);
      off += size;
    }
  }

  /** Whether `address` is the start of a block that the bitmap knows as free: what a free list may hold. */
  isFreeBlock(address: number): boolean {
    const off = address - this.arenaStart;
    if (!(off >= 0 && off < this.usedBytes) || off % 8 !== 0) return false;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    const word = (this.bits[w] as Int32Array)[this.bitTop - ((b >> this.bitShift) << this.bitStep)] as number;
    const allocated = 1 << ((b >> this.wordShift) & this.wordMask);
    return (word & (allocated | (allocated << this.boundaryShift))) === allocated << this.boundaryShift;
  }

  /** What to throw when a free list leads to something else: its words were overwritten. */
  brokenList(address: number): LazyShadowError {
    return new LazyShadowError(
      'ERR_CORRUPT',
      `A free list of the heap leads to ${formatAddress(address)}, which is no free block: freed memory has been overwritten. Look for a write through a view that another thread holds.`,
      { verb: 'malloc', address },
    );
  }

  #pageMap(): Int32Array {
    const pages = STRIDE_BYTES / 2 ** this.pageShift;
    try {
      return new Int32Array(pages);
    } catch (error) {
      throw new LazyShadowError(
        'ERR_OUT_OF_MEMORY',
        `runtime: no memory for ${pages * 4} bytes of page map. Free some memory.`,
        { verb: 'malloc', sizeBytes: pages * 4, cause: error },
      );
    }
  }
}
