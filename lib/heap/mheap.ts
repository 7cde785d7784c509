/**
 * Go's MHeap (mheap.c): the page heap. Spans of free pages in lists by length, spans in use in the page map.
 *
 * Invariants: free[n] holds the free spans of exactly n pages (n < 256), `large` all longer ones; free spans never
 * touch; HeapSys = HeapInuse + HeapIdle, HeapReleased ≤ HeapIdle; a free span is zero unless needzero.
 * A call that fails (null, or an error of the operating system) changes nothing.
 */
import { LazyShadowError } from '../native/errors.js';
import type { Arena } from './arena.js';
import type { SizeClasses } from './msize.js';
import { MSpanDead, MSpanFree, MSpanInUse, type MSpans } from './mspan.js';
import type { RaceHooks } from './race-hooks.js';
import type { Sys } from './sys.js';
import type { Windows } from './windows.js';

/** Spans of fewer pages have a list for each length; longer ones share a list. */
export const MaxMHeapList = 256;

/** HeapAllocChunk: least growth of the heap. */
const HEAP_ALLOC_CHUNK = 2 ** 20;

/** Growth is a multiple of this: what Windows reserves at least, and every system's page divides it. */
const GROW_UNIT = 64 * 1024;

export class MHeap {
  readonly sys: Sys;
  readonly arena: Arena;
  readonly windows: Windows;
  readonly spans: MSpans;
  readonly classes: SizeClasses;
  readonly race: RaceHooks;
  readonly pageShift: number;
  readonly pageSize: number;
  readonly freeLists: Int32Array;
  readonly large: number;
  /** Whether scavenged pages gave their shadow back, so that it must be mapped again. */
  readonly releaseShadow: boolean;
  readonly now: () => number;

  // mstats of the page heap, in bytes; HeapSys is arena.heapBytes.
  heapInuse = 0;
  heapIdle = 0;
  heapReleased = 0;

  constructor(parts: {
    sys: Sys;
    arena: Arena;
    spans: MSpans;
    classes: SizeClasses;
    race: RaceHooks;
    releaseShadow: boolean;
    now: () => number;
  }) {
    this.sys = parts.sys;
    this.arena = parts.arena;
    this.windows = parts.arena.windows;
    this.spans = parts.spans;
    this.classes = parts.classes;
    this.race = parts.race;
    this.releaseShadow = parts.releaseShadow;
    this.now = parts.now;
    this.pageShift = parts.classes.pageShift;
    this.pageSize = 2 ** this.pageShift;
    this.freeLists = new Int32Array(MaxMHeapList);
    for (let n = 1; n < MaxMHeapList; n++) this.freeLists[n] = this.spans.newList();
    this.large = this.spans.newList();
  }

  /**
   * MHeap_Alloc: a span of npages for objects of a class (0: one large object), its memory zero if `zeroed`.
   * 0 if there is no memory; `arena.lastFailure` says why.
   */
  alloc(npages: number, sizeclass: number, zeroed: boolean): number {
    const s = this.#allocLocked(npages, sizeclass);
    if (s === 0) return 0;
    this.heapInuse += npages * this.pageSize;
    if (zeroed && this.spans.needzero(s) !== 0) {
      this.windows.memclr(this.windows.pageAddress(this.spans.start(s)), npages * this.pageSize);
      this.spans.setNeedzero(s, 0);
    }
    return s;
  }

  /** MHeap_Free: gives a span in use back; the caller has set needzero. */
  free(s: number): void {
    this.heapInuse -= this.spans.npages(s) * this.pageSize;
    this.#freeLocked(s, this.now());
  }

  /** The span that holds an offset from arenaStart, free or not; 0 if none. */
  lookup(off: number): number {
    return this.windows.spanAt(Math.floor(off / this.pageSize));
  }

  /** List for free spans of npages. */
  listFor(npages: number): number {
    return npages < MaxMHeapList ? (this.freeLists[npages] as number) : this.large;
  }

  #allocLocked(npages: number, sizeclass: number): number {
    let s = this.#find(npages);
    if (s === 0) {
      if (!this.#grow(npages)) return 0;
      s = this.#find(npages);
      if (s === 0) throw corrupt('MHeap_AllocLocked - grown, but no span');
    }
    const { spans, windows } = this;
    if (spans.state(s) !== MSpanFree) throw corrupt('MHeap_AllocLocked - MSpan not free');
    const had = spans.npages(s);
    if (had < npages) throw corrupt('MHeap_AllocLocked - bad npages');

    // Everything that can fail comes before anything is changed: the record for the rest, the memory, the shadow.
    const t = had > npages ? spans.records.alloc() : 0;
    if (had > npages && t === 0) return this.#noRecord();
    const released = spans.npreleased(s);
    let usable = false;
    try {
      usable = released === 0 || this.#reuse(s);
    } finally {
      if (!usable && t !== 0) spans.records.free(t);
    }
    if (!usable) return 0;

    const start = spans.start(s);
    const unusedsince = spans.unusedsince(s);
    spans.remove(s);
    spans.setState(s, MSpanInUse);
    this.heapIdle -= had * this.pageSize;
    this.heapReleased -= released * this.pageSize;
    spans.setNpreleased(s, 0);
    // Some systems give released pages back as they were and some as zeros, or some of each.
    if (released > 0 && !this.sys.platform.unusedReadsZero) spans.setNeedzero(s, 1);

    if (t !== 0) {
      spans.init(t, start + npages, had - npages);
      spans.setNpages(s, npages);
      windows.setSpanAt(start + npages - 1, s);
      windows.setSpanAt(start + npages, t);
      windows.setSpanAt(start + had - 1, t);
      spans.setNeedzero(t, spans.needzero(s));
      spans.setState(t, MSpanInUse);
      this.#freeLocked(t, unusedsince); // keeps its age
    }
    spans.setUnusedsince(s, 0);
    spans.setSizeclass(s, sizeclass);
    spans.setRef(s, 0);
    spans.setFreelist(s, 0);
    spans.setLimit(s, windows.pageAddress(start + npages));
    for (let n = 0; n < npages; n++) windows.setSpanAt(start + n, s, sizeclass);
    return s;
  }

  /** The first span of an exact-size list from npages up, else the best fit among the large. */
  #find(npages: number): number {
    const { spans } = this;
    for (let n = npages; n < MaxMHeapList; n++) {
      const list = this.freeLists[n] as number;
      const first = spans.next(list);
      if (first !== list) return first;
    }
    // MHeap_AllocLarge: the smallest that is enough; of those, the lowest.
    let best = 0;
    for (let s = spans.next(this.large); s !== this.large; s = spans.next(s)) {
      const n = spans.npages(s);
      if (n < npages) continue;
      if (best !== 0) {
        const bestN = spans.npages(best);
        if (n > bestN || (n === bestN && spans.start(s) > spans.start(best))) continue;
      }
      best = s;
    }
    return best;
  }

  /** MHeap_Grow: asks for at least 1 MiB, then for just what is needed. */
  #grow(npages: number): boolean {
    const record = this.spans.records.alloc();
    if (record === 0) {
      this.#noRecord();
      return false;
    }
    const needed = Math.ceil((npages * this.pageSize) / GROW_UNIT) * GROW_UNIT;
    let ask = Math.max(needed, HEAP_ALLOC_CHUNK);
    let p: number | null = null;
    try {
      p = this.arena.sysAlloc(ask);
      if (p === null && ask > needed) {
        ask = needed;
        p = this.arena.sysAlloc(ask);
      }
    } finally {
      if (p === null) this.spans.records.free(record);
    }
    if (p === null) return false;
    // A fake span in use, to be freed: so it finds its neighbours.
    const start = (p - this.arena.arenaStart) / this.pageSize;
    const pages = ask / this.pageSize;
    this.spans.init(record, start, pages);
    this.windows.setSpanAt(start, record);
    this.windows.setSpanAt(start + pages - 1, record);
    this.spans.setState(record, MSpanInUse);
    this.#freeLocked(record, this.now());
    return true;
  }

  #freeLocked(s: number, unusedsince: number): void {
    const { spans, windows } = this;
    if (spans.state(s) !== MSpanInUse || spans.ref(s) !== 0) {
      throw corrupt(`MHeap_FreeLocked - invalid free of span ${s}, ref ${spans.ref(s)}`);
    }
    this.heapIdle += spans.npages(s) * this.pageSize;
    spans.setState(s, MSpanFree);
    spans.setSizeclass(s, 0);
    spans.setFreelist(s, 0);
    spans.setUnusedsince(s, unusedsince);
    spans.setNpreleased(s, 0);
    spans.remove(s);

    const start = spans.start(s);
    if (start > 0) this.#absorb(s, windows.spanAt(start - 1));
    this.#absorb(s, windows.spanAt(spans.start(s) + spans.npages(s)));
    spans.insert(this.listFor(spans.npages(s)), s);
  }

  /** Merges the free neighbour t, if it is one, into s. */
  #absorb(s: number, t: number): void {
    const { spans, windows } = this;
    if (t === 0 || spans.state(t) !== MSpanFree) return;
    spans.remove(t);
    const start = Math.min(spans.start(s), spans.start(t));
    const npages = spans.npages(s) + spans.npages(t);
    spans.setStart(s, start);
    spans.setNpages(s, npages);
    spans.setNpreleased(s, spans.npreleased(s) + spans.npreleased(t));
    spans.setNeedzero(s, spans.needzero(s) | spans.needzero(t));
    windows.setSpanAt(start, s);
    windows.setSpanAt(start + npages - 1, s);
    spans.setState(t, MSpanDead);
    spans.records.free(t);
  }

  /** SysUsed, and shadow for pages that went back with theirs; false if there is no memory for either. */
  #reuse(s: number): boolean {
    const address = this.windows.pageAddress(this.spans.start(s));
    const bytes = this.spans.npages(s) * this.pageSize;
    try {
      this.sys.sysUsed(address, bytes);
      if (!this.releaseShadow) return true;
      try {
        this.race.racemapshadow(address, bytes);
      } catch (error) {
        this.unuse(s);
        throw error;
      }
      return true;
    } catch (error) {
      if (!(error instanceof LazyShadowError) || error.code !== 'ERR_OUT_OF_MEMORY') throw error;
      this.arena.lastFailure = error;
      return false;
    }
  }

  /**
   * SysUnused for a free span, in whole pages of the operating system, which may be larger than the heap's.
   * Returns how many of the heap's pages went.
   */
  unuse(s: number): number {
    const range = this.releasable(s);
    if (range.npages > 0) this.sys.sysUnused(range.address, range.npages * this.pageSize);
    return range.npages;
  }

  /** The part of a span that is whole pages of the operating system. */
  releasable(s: number): { address: number; npages: number } {
    const unit = Math.max(1, this.sys.os.pageSizeBytes / this.pageSize);
    const start = this.spans.start(s);
    const first = Math.ceil(start / unit) * unit;
    const end = Math.floor((start + this.spans.npages(s)) / unit) * unit;
    return {
      address: this.windows.pageAddress(first),
      npages: Math.max(0, end - first),
    };
  }

  #noRecord(): 0 {
    this.arena.lastFailure = new LazyShadowError(
      'ERR_OUT_OF_MEMORY',
      'runtime: no memory for a span record.',
      {
        verb: 'sysAlloc',
      },
    );
    return 0;
  }
}

function corrupt(what: string): LazyShadowError {
  return new LazyShadowError('ERR_CORRUPT', `${what}. Please report this.`, {
    verb: 'malloc',
  });
}
