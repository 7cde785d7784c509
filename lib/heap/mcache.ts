/**
 * Go's MCache (mcache.c): one for each logical processor, a list of free objects for each size class.
 *
 * Its arrays lie in a FixAlloc record, so allocating and freeing touches no object of V8's heap. Where Go counts
 * bytes and objects at every step, only the count of a class is kept: everything else in MemStats follows from it.
 *
 * Invariants: nlist[c] objects are linked from heads[c], each of class c, free, and zero but for its link if its
 * second word is zero; `cachedBytes` is their size together; nlistmin[c] ≤ nlist[c].
 */
import type { FixAlloc } from './fixalloc.js';
import type { MCentral } from './mcentral.js';
import type { SizeClasses } from './msize.js';
import { PER_STRIDE, STRIDE_BYTES, type Windows } from './windows.js';

/** MaxMCacheListLen: a list this long gives a batch back. */
const MaxMCacheListLen = 256;

/** MaxMCacheSize: a cache of this many bytes gives half of what it did not need back. */
const MaxMCacheSize = 2 * 2 ** 20;

/** Bytes of a cache's record: a head, two counters, two lengths for each class. */
export function mcacheBytes(classes: SizeClasses): number {
  return classes.count * (3 * 8 + 2 * 4);
}

export class MCache {
  /** First object of each list, 0 if empty. */
  readonly heads: Float64Array;
  /** Objects ever allocated and freed through this cache, by class. */
  readonly nmalloc: Float64Array;
  readonly nfree: Float64Array;
  readonly nlist: Int32Array;
  readonly nlistmin: Int32Array;
  /** Bytes of the objects in the lists: c->size. */
  cachedBytes = 0;

  readonly #windows: Windows;
  readonly #central: readonly MCentral[];
  readonly #sizes: Int32Array;
  readonly #transfer: Int32Array;

  constructor(
    records: FixAlloc,
    record: number,
    windows: Windows,
    central: readonly MCentral[],
    classes: SizeClasses,
  ) {
    const { buffer, byteOffset } = records.recordArrays(record);
    const n = classes.count;
    this.heads = new Float64Array(buffer, byteOffset, n);
    this.nmalloc = new Float64Array(buffer, byteOffset + n * 8, n);
    this.nfree = new Float64Array(buffer, byteOffset + n * 16, n);
    this.nlist = new Int32Array(buffer, byteOffset + n * 24, n);
    this.nlistmin = new Int32Array(buffer, byteOffset + n * 28, n);
    this.#windows = windows;
    this.#central = central;
    this.#sizes = classes.classToSize;
    this.#transfer = classes.classToTransferCount;
  }

  /**
   * MCache_Alloc and the marking that Go does right after it: an object of the class, zero if `zeroed`.
   * 0 if there is no memory.
   */
  alloc(sizeclass: number, zeroed: boolean, noPointers: boolean): number {
    let address = this.heads[sizeclass] as number;
    if (address === 0) {
      if (!this.#refill(sizeclass)) return 0;
      address = this.heads[sizeclass] as number;
    }
    const m = this.#windows;
    const off = address - m.arenaStart;
    // A free list lies in memory that someone may have written to: nothing of it is believed unseen.
    const size = this.#sizes[sizeclass] as number;
    if (!(off >= 0 && off + size <= m.usedBytes)) throw m.brokenList(address);
    const w = (off * PER_STRIDE) | 0;
    const rest = off - w * STRIDE_BYTES;
    const b = rest | 0;
    const bits = m.bits[w] as Int32Array;
    const bitIndex = m.bitTop - ((b >> m.bitShift) << m.bitStep);
    const allocated = 1 << ((b >> m.wordShift) & m.wordMask);
    const boundary = allocated << m.boundaryShift;
    const word = bits[bitIndex] as number;
    if ((word & (allocated | boundary)) !== boundary || b !== rest || (b & 7) !== 0)
      throw m.brokenList(address);
    bits[bitIndex] = noPointers ? word | allocated : (word | allocated) & ~boundary;

    const left = (this.nlist[sizeclass] as number) - 1;
    this.nlist[sizeclass] = left;
    if (left < (this.nlistmin[sizeclass] as number)) this.nlistmin[sizeclass] = left;
    this.cachedBytes -= size;
    this.nmalloc[sizeclass] = (this.nmalloc[sizeclass] as number) + 1;

    // The object is zero but for the link, unless its second word says otherwise.
    const words = m.i32[w] as Int32Array;
    const i = b >> 2;
    if (m.wordBytes === 8) {
      const doubles = m.f64[w] as Float64Array;
      this.heads[sizeclass] = doubles[b >> 3] as number;
      doubles[b >> 3] = 0;
      if (zeroed && size > 8 && ((words[i + 2] as number) | (words[i + 3] as number)) !== 0)
        m.clear(w, b, size);
    } else {
      const unit = words[i] as number;
      this.heads[sizeclass] = unit === 0 ? 0 : m.arenaStart + (unit - 1) * 8;
      words[i] = 0;
      if (zeroed && (words[i + 1] as number) !== 0) m.clear(w, b, size);
    }
    return address;
  }

  /**
   * MCache_Free of a block whose bitmap says that it is free again, at byte b of stride w. The mark in the second
   * word says that it needs zeroing.
   */
  free(address: number, w: number, b: number, sizeclass: number): void {
    const m = this.#windows;
    const words = m.i32[w] as Int32Array;
    const size = this.#sizes[sizeclass] as number;
    const head = this.heads[sizeclass] as number;
    if (m.wordBytes === 8) {
      (m.f64[w] as Float64Array)[b >> 3] = head;
      if (size > 8) words[(b >> 2) + 2] = 1;
    } else {
      words[b >> 2] = head === 0 ? 0 : (head - m.arenaStart) / 8 + 1;
      words[(b >> 2) + 1] = 1;
    }
    this.heads[sizeclass] = address;
    this.nfree[sizeclass] = (this.nfree[sizeclass] as number) + 1;
    const nlist = (this.nlist[sizeclass] as number) + 1;
    this.nlist[sizeclass] = nlist;
    this.cachedBytes += size;
    if (nlist >= MaxMCacheListLen) this.#releaseN(sizeclass, this.#transfer[sizeclass] as number);
    if (this.cachedBytes >= MaxMCacheSize) this.#scavenge();
  }

  /** Takes an alloc and a free of the class out of the counts: a block that was never handed out. */
  uncount(sizeclass: number): void {
    this.nmalloc[sizeclass] = (this.nmalloc[sizeclass] as number) - 1;
    this.nfree[sizeclass] = (this.nfree[sizeclass] as number) - 1;
  }

  /** MCache_ReleaseAll: every object back to the central lists. */
  releaseAll(): void {
    for (let c = 1; c < this.nlist.length; c++) {
      this.#releaseN(c, this.nlist[c] as number);
      this.nlistmin[c] = 0;
    }
  }

  #refill(sizeclass: number): boolean {
    const n = (this.#central[sizeclass] as MCentral).allocList(
      this.#transfer[sizeclass] as number,
      this.heads,
      sizeclass,
    );
    this.nlist[sizeclass] = n;
    this.cachedBytes += n * (this.#sizes[sizeclass] as number);
    return n > 0;
  }

  /** Gives the first n objects of a list back. */
  #releaseN(sizeclass: number, n: number): void {
    const m = this.#windows;
    const central = this.#central[sizeclass] as MCentral;
    for (let i = 0; i < n; i++) {
      const address = this.heads[sizeclass] as number;
      if (!m.isFreeBlock(address)) throw m.brokenList(address);
      this.heads[sizeclass] = m.link(address);
      this.nlist[sizeclass] = (this.nlist[sizeclass] as number) - 1;
      this.cachedBytes -= this.#sizes[sizeclass] as number;
      central.free(address);
    }
    if ((this.nlist[sizeclass] as number) < (this.nlistmin[sizeclass] as number)) {
      this.nlistmin[sizeclass] = this.nlist[sizeclass] as number;
    }
  }

  /** Moves half of what no list has needed since the last time towards the central lists. */
  #scavenge(): void {
    for (let c = 1; c < this.nlist.length; c++) {
      const unneeded = this.nlistmin[c] as number;
      if (unneeded > 0) this.#releaseN(c, unneeded > 1 ? unneeded >> 1 : 1);
      this.nlistmin[c] = this.nlist[c] as number;
    }
  }
}
