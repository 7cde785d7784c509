/**
 * Go's MCache (mcache.c): one for each logical processor, a list of free objects for each size class.
 *
 * The objects are linked through their own memory, the counts lie in a FixAlloc record: allocating and freeing makes
 * nothing on V8's heap.
 *
 * Invariants: nlist objects of a class are linked from its head, each free, and zero but for its link if its second
 * word is zero; `cachedBytes` is their size together; nlistmin ≤ nlist; nmalloc = moved + nfree − nlist.
 */
import type { FixAlloc } from './fixalloc.js';
import type { MapBits } from './mapbits.js';
import type { MCentral } from './mcentral.js';
import type { MHeap } from './mheap.js';
import type { SizeClasses } from './msize.js';
import type { Windows } from './windows.js';
import * as layout from './windows.js';

// Own constants: V8 folds these, and loads imported ones from their module each time.
const { PER_STRIDE, STRIDE_BYTES, STRIDE_MASK, WIDE_BIT_TOP } = layout;

/** MaxMCacheListLen: a list this long gives a batch back. */
const MaxMCacheListLen = 256;

/** MaxMCacheSize: a cache of this many bytes gives half of what it did not need back. */
const MaxMCacheSize = 2 * 2 ** 20;

/** Doubles of a class in a cache's record: what Go keeps in local_by_size. */
const PER_CLASS = 2;
/** Objects freed into the list before the last purge of the list's own count. */
const NFREE = 0;
/** Objects that came from the central list, less those that went back. */
const MOVED = 1;

/** MCacheList: the free objects of one class. An object, because V8 reads its fields faster than an array. */
class MCacheList {
  /** First object, 0 if there is none. Begins as a fraction: V8 then keeps a double here and never changes its mind. */
  head = 0.5;
  nlist = 0;
  /** Fewest objects since the cache last looked what it does not need. */
  nlistmin = 0;
  /** Objects freed since the last purge. */
  nfree = 0;
  /** Bytes of an object. */
  declare readonly size: number;

  constructor(size: number) {
    this.size = size;
    this.head = 0;
  }
}

/** From here on TypedArray.fill is faster than a loop of stores: its call costs as much as 64 of them. */
const FILL_FROM_DOUBLES = 64;

/** Bytes of a cache's record. */
export function mcacheBytes(classes: SizeClasses): number {
  return classes.count * PER_CLASS * 8;
}

export class MCache {
  /** Bytes of the objects in the lists: Go's c->size. */
  cachedBytes = 0;
  // declare: a field that is first undefined is no constant to V8, and no number either.
  declare private readonly lists: MCacheList[];
  readonly #counts: Float64Array;
  declare private readonly windows: Windows;
  readonly #bits: MapBits;
  readonly #central: readonly MCentral[];
  readonly #transfer: Int32Array;

  constructor(records: FixAlloc, record: number, heap: MHeap, central: readonly MCentral[]) {
    const { buffer, byteOffset } = records.recordArrays(record);
    const { classes } = heap;
    this.lists = Array.from(classes.classToSize, (size) => new MCacheList(size));
    this.#counts = new Float64Array(buffer, byteOffset, classes.count * PER_CLASS);
    this.windows = heap.windows;
    this.#bits = heap.arena.bits;
    this.#central = central;
    this.#transfer = classes.classToTransferCount;
  }

  /** First object of a list, how many it has, and the fewest it had. */
  list(sizeclass: number): {
    readonly head: number;
    readonly nlist: number;
    readonly nlistmin: number;
  } {
    return this.lists[sizeclass] as MCacheList;
  }
  /** Objects ever allocated and freed through this cache. */
  nmalloc(sizeclass: number): number {
    const moved = this.#counts[sizeclass * PER_CLASS + MOVED] as number;
    return moved + this.nfree(sizeclass) - this.list(sizeclass).nlist;
  }
  /** Purges the list's own count first, so that it stays a small integer. */
  nfree(sizeclass: number): number {
    const list = this.lists[sizeclass] as MCacheList;
    this.#count(sizeclass, NFREE, list.nfree);
    list.nfree = 0;
    return this.#counts[sizeclass * PER_CLASS + NFREE] as number;
  }

  /**
   * MCache_Alloc and the marking that Go does right after it: an object of the class, zero if `zeroed`.
   * 0 if there is no memory.
   */
  alloc(sizeclass: number, zeroed: boolean, noPointers: boolean): number {
    const list = this.lists[sizeclass] as MCacheList;
    if (list.head === 0 && !this.#refill(list, sizeclass)) return 0;
    const address = list.head;
    const m = this.windows;
    // A free list lies in memory that someone may have written to: nothing of it is believed unseen.
    if (!m.isFreeBlock(address)) throw m.brokenList(address);
    this.#bits.markallocated(address, noPointers);
    list.head = m.link(address);
    m.setLink(address, 0);
    list.nlist--;
    if (list.nlist < list.nlistmin) list.nlistmin = list.nlist;
    this.cachedBytes -= list.size;
    // The object is zero but for the link, unless its second word says otherwise.
    if (zeroed && m.needsZero(address, list.size)) m.memclr(address, list.size);
    return address;
  }

  /**
   * The same for what malloc nearly always wants, an object that may hold pointers in the 64-bit form: each step once, the constants of
   * windows.ts in place. 0 if the list is empty: then ask `alloc`.
   */
  allocFast(sizeclass: number, zeroed: boolean): number {
    const list = this.lists[sizeclass] as MCacheList;
    const address = list.head;
    if (address === 0) return 0;
    const m = this.windows;
    const off = address - m.arenaStart;
    const w = (off * PER_STRIDE) | 0;
    const b = (off | 0) & STRIDE_MASK;
    const size = list.size;
    if (!(off >= 0 && off + size <= m.usedBytes && w * STRIDE_BYTES + b === off)) throw m.brokenList(address);
    const bits = m.bits[w] as Int32Array;
    const bitIndex = WIDE_BIT_TOP - ((b >> 7) << 1);
    const shift = (b >> 3) & 15;
    const word = bits[bitIndex] as number;
    const both = 0x0001_0001 << shift; // allocated and boundary
    if ((word & both) !== 0x0001_0000 << shift) throw m.brokenList(address);
    bits[bitIndex] = word ^ both;

    const doubles = m.f64[w] as Float64Array;
    const i = b >> 3;
    list.head = doubles[i] as number;
    doubles[i] = 0;
    const nlist = list.nlist - 1;
    list.nlist = nlist;
    if (nlist < list.nlistmin) list.nlistmin = nlist;
    this.cachedBytes -= size;
    if (zeroed && size > 8 && doubles[i + 1] !== 0) clear(doubles, i + 1, i + (size >> 3));
    return address;
  }

  /**
   * MCache_Free of a block whose bitmap says that it is free again. The mark in the second word says that it needs
   * zeroing.
   */
  free(address: number, sizeclass: number): void {
    const list = this.lists[sizeclass] as MCacheList;
    const m = this.windows;
    m.setLink(address, list.head);
    m.setNeedsZero(address, list.size);
    list.head = address;
    list.nfree++;
    list.nlist++;
    this.cachedBytes += list.size;
    if (list.nlist >= MaxMCacheListLen || this.cachedBytes >= MaxMCacheSize) this.#tooMuch(list, sizeclass);
  }

  /** The same in the 64-bit form, for a block at byte b of stride w. */
  freeFast(address: number, w: number, b: number, sizeclass: number): void {
    const list = this.lists[sizeclass] as MCacheList;
    const doubles = this.windows.f64[w] as Float64Array;
    const i = b >> 3;
    doubles[i] = list.head;
    list.head = address;
    if (sizeclass > 1) doubles[i + 1] = 1; // class 1 has 8 bytes, and so no second word
    list.nfree++;
    this.cachedBytes += list.size;
    if (++list.nlist >= MaxMCacheListLen || this.cachedBytes >= MaxMCacheSize) this.#tooMuch(list, sizeclass);
  }

  /** Takes an alloc and a free of the class out of the counts: a block that was never handed out. */
  uncount(sizeclass: number): void {
    this.#count(sizeclass, NFREE, -1);
  }

  /** MCache_ReleaseAll: every object back to the central lists. */
  releaseAll(): void {
    for (const [c, list] of this.lists.entries()) this.#releaseN(list, c, list.nlist);
  }

  #count(sizeclass: number, field: number, by: number): void {
    const at = sizeclass * PER_CLASS + field;
    this.#counts[at] = (this.#counts[at] as number) + by;
  }

  #refill(list: MCacheList, sizeclass: number): boolean {
    const n = (this.#central[sizeclass] as MCentral).allocList(this.#transfer[sizeclass] as number);
    if (n === 0) return false;
    list.head = (this.#central[sizeclass] as MCentral).first;
    list.nlist += n;
    this.#count(sizeclass, MOVED, n);
    this.cachedBytes += n * list.size;
    return true;
  }

  /** Gives the first n objects of a list back. */
  #releaseN(list: MCacheList, sizeclass: number, n: number): void {
    const m = this.windows;
    const central = this.#central[sizeclass] as MCentral;
    for (let i = 0; i < n; i++) {
      const address = list.head;
      if (!m.isFreeBlock(address)) throw m.brokenList(address);
      list.head = m.link(address);
      list.nlist--;
      this.#count(sizeclass, MOVED, -1);
      this.cachedBytes -= list.size;
      central.free(address);
    }
    if (list.nlist < list.nlistmin) list.nlistmin = list.nlist;
  }

  #tooMuch(list: MCacheList, sizeclass: number): void {
    if (list.nlist >= MaxMCacheListLen) this.#releaseN(list, sizeclass, this.#transfer[sizeclass] as number);
    if (this.cachedBytes >= MaxMCacheSize) this.#scavenge();
  }

  /** Moves half of what no list has needed since the last time towards the central lists. */
  #scavenge(): void {
    for (const [c, list] of this.lists.entries()) {
      const unneeded = list.nlistmin;
      if (unneeded > 0) this.#releaseN(list, c, unneeded > 1 ? unneeded >> 1 : 1);
      list.nlistmin = list.nlist;
    }
  }
}

function clear(doubles: Float64Array, from: number, to: number): void {
  if (to - from >= FILL_FROM_DOUBLES) doubles.fill(0, from, to);
  else for (let i = from; i < to; i++) doubles[i] = 0;
}
