/**
 * Walks every structure of a heap and checks every invariant that the files of lib/heap state, up to the operating
 * system's own count of the memory.
 */
import { formatAddress } from '../native/errors.js';
import type { FixAlloc } from './fixalloc.js';
import type { MCache } from './mcache.js';
import type { MCentral } from './mcentral.js';
import { type LargeCounts, memStats } from './memstats.js';
import { MaxMHeapList, type MHeap } from './mheap.js';
import { MSpanFree, MSpanInUse, MSpanListHead } from './mspan.js';

/** What `verify` went through. */
export interface HeapReport {
  /** Spans that hold objects. */
  readonly spansInUse: number;
  /** Spans that hold none. */
  readonly spansFree: number;
  /** Allocated. */
  readonly objects: number;
  /** Free, in the lists of the caches. */
  readonly cachedObjects: number;
  /** Free, in the lists of the central spans. */
  readonly centralObjects: number;
  /** Committed for the heap, as counted here. */
  readonly committedBytes: number;
  /** The same, as the operating system counts. */
  readonly osCommittedBytes: number;
  /** What of it is in physical memory. */
  readonly residentBytes: number;
}

/** The structures of one heap. */
export interface HeapParts {
  readonly heap: MHeap;
  readonly central: readonly MCentral[];
  readonly caches: readonly MCache[];
  readonly cacheRecords: FixAlloc;
  readonly large: LargeCounts;
}

/** Problems beyond this many would only repeat each other. */
const MAX_PROBLEMS = 20;

class Verifier {
  readonly problems: string[] = [];
  readonly #parts: HeapParts;
  readonly #inUse = new Set<number>();
  readonly #free = new Set<number>();
  /** Free objects found in the lists, by span: how many, and which (to find one that is in two lists). */
  readonly #freeObjects = new Map<number, Set<number>>();
  readonly #allocatedByClass: number[] = [];
  #cached = 0;
  #inCentral = 0;
  #largeBytes = 0;

  constructor(parts: HeapParts) {
    this.#parts = parts;
  }

  run(): HeapReport {
    this.#pageMap();
    this.#freeLists();
    this.#central();
    this.#caches();
    for (const s of this.#inUse) this.#blocks(s);
    this.#counts();
    const os = this.#operatingSystem();
    return {
      spansInUse: this.#inUse.size,
      spansFree: this.#free.size,
      objects: this.#allocatedByClass.reduce((sum, n) => sum + (n ?? 0), 0),
      cachedObjects: this.#cached,
      centralObjects: this.#inCentral,
      ...os,
    };
  }

  #check(ok: boolean, problem: () => string): boolean {
    if (!ok && this.problems.length < MAX_PROBLEMS) this.problems.push(problem());
    return ok;
  }

  #equal(name: string, actual: number, expected: number): void {
    this.#check(actual === expected, () => `${name} is ${actual}, should be ${expected}`);
  }

  /** Every page belongs to one span, or to a hole of the 32-bit form; free spans do not touch. */
  #pageMap(): void {
    const { spans, windows, arena, pageSize, pageShift } = this.#parts.heap;
    const pages = (arena.arenaUsed - arena.arenaStart) / pageSize;
    let inUse = 0;
    let idle = 0;
    let released = 0;
    let holes = 0;
    let previousFree = false;
    this.#equal('windows.usedBytes', windows.usedBytes, arena.arenaUsed - arena.arenaStart);
    for (let p = 0; p < pages;) {
      const s = windows.spanAt(p);
      if (s === 0) {
        holes++;
        p++;
        previousFree = false;
        continue;
      }
      const state = spans.state(s);
      const npages = spans.npages(s);
      const sane = npages > 0 && p + npages <= pages && (state === MSpanInUse || state === MSpanFree);
      if (!this.#check(sane && spans.start(s) === p, () => `page ${p}: span ${s} does not begin there`))
        return;
      const isFree = state === MSpanFree;
      this.#check(!(isFree && previousFree), () => `span ${s} at page ${p}: two free neighbours`);
      this.#check(
        spans.npreleased(s) <= (isFree ? npages : 0),
        () => `span ${s}: npreleased ${spans.npreleased(s)}`,
      );
      this.#check(windows.spanAt(p + npages - 1) === s, () => `span ${s}: last page is not its own`);
      if (isFree) {
        this.#free.add(s);
        idle += npages;
        released += spans.npreleased(s);
        this.#check(
          arena.bits.countBits(windows.pageAddress(p), npages * 2 ** pageShift) === 0,
          () => `free span ${s}: bits are set`,
        );
      } else {
        this.#inUse.add(s);
        inUse += npages;
        for (let n = 0; n < npages; n++) {
          if (!this.#check(windows.spanAt(p + n) === s, () => `span ${s}: page ${p + n} is not its own`))
            break;
        }
      }
      previousFree = isFree;
      p += npages;
    }
    this.#equal('HeapInuse', this.#parts.heap.heapInuse, inUse * pageSize);
    this.#equal('HeapIdle', this.#parts.heap.heapIdle, idle * pageSize);
    this.#equal('HeapReleased', this.#parts.heap.heapReleased, released * pageSize);
    this.#equal('HeapSys', arena.heapBytes, (inUse + idle) * pageSize);
    this.#equal('pages', pages, inUse + idle + holes);
    if (arena.form === '64-bit') this.#equal('holes', holes, 0);
  }

  /** Calls for each span of a list, having checked its links. */
  #eachOf(list: number, use: (span: number) => void): void {
    const { spans } = this.#parts.heap;
    let before = list;
    let count = 0;
    this.#equal(`list ${list}: state of the head`, spans.state(list), MSpanListHead);
    for (let s = spans.next(list); s !== list; s = spans.next(s)) {
      if (!this.#check(spans.prev(s) === before, () => `list ${list}: broken at span ${s}`)) return;
      if (!this.#check(++count <= spans.records.maxRecords, () => `list ${list}: endless`)) return;
      use(s);
      before = s;
    }
    this.#check(spans.prev(list) === before, () => `list ${list}: broken at its end`);
  }

  /** Each free span is in the list for its length, and nothing else is. */
  #freeLists(): void {
    const { heap } = this.#parts;
    let listed = 0;
    for (let n = 1; n <= MaxMHeapList; n++) {
      const list = heap.listFor(n);
      this.#eachOf(list, (s) => {
        listed++;
        const npages = heap.spans.npages(s);
        this.#check(this.#free.has(s), () => `list ${list}: span ${s} is not free in the page map`);
        this.#check(heap.listFor(npages) === list, () => `span ${s} of ${npages} pages is in list ${list}`);
      });
    }
    this.#equal('free spans in lists', listed, this.#free.size);
  }

  /** A free object: in its span, at a multiple of its size, free in the bitmap, and in no other list. */
  #freeObject(address: number, sizeclass: number): void {
    const { heap } = this.#parts;
    const { spans, windows, arena, classes } = heap;
    const where = () => `free object ${formatAddress(address)} of class ${sizeclass}`;
    if (!this.#check(windows.isFreeBlock(address), () => `${where()}: not free in the bitmap`)) return;
    const s = heap.lookup(address - arena.arenaStart);
    const size = classes.classToSize[sizeclass] as number;
    const start = windows.pageAddress(spans.start(s));
    this.#check(this.#inUse.has(s) && spans.sizeclass(s) === sizeclass, () => `${where()}: in span ${s}`);
    this.#check(
      (address - start) % size === 0 && address + size <= spans.limit(s),
      () => `${where()}: misplaced`,
    );
    const found = this.#freeObjects.get(s) ?? new Set<number>();
    this.#check(!found.has(address), () => `${where()}: in two lists`);
    found.add(address);
    this.#freeObjects.set(s, found);
    this.#check(this.#isZeroUnlessMarked(address, size), () => `${where()}: not zero, and not marked so`);
  }

  #isZeroUnlessMarked(address: number, size: number): boolean {
    const { windows, arena } = this.#parts.heap;
    const off = address - arena.arenaStart;
    const w = Math.floor(off / 2 ** 29);
    const words = windows.i32[w] as Int32Array;
    const at = (off - w * 2 ** 29) >> 2;
    const perWord = windows.wordBytes >> 2;
    for (let i = perWord; i < Math.min(size >> 2, 2 * perWord); i++) if (words[at + i] !== 0) return true;
    for (let i = 2 * perWord; i < size >> 2; i++) if (words[at + i] !== 0) return false;
    return true;
  }

  #central(): void {
    const { heap, central } = this.#parts;
    const { spans, windows, classes, pageSize } = heap;
    for (let c = 1; c < classes.count; c++) {
      const mcentral = central[c] as MCentral;
      const size = classes.classToSize[c] as number;
      let listed = 0;
      let nfree = 0;
      for (const list of [mcentral.nonempty, mcentral.empty]) {
        this.#eachOf(list, (s) => {
          listed++;
          const own = this.#inUse.has(s) && spans.sizeclass(s) === c;
          if (!this.#check(own, () => `central ${c}: span ${s} is not of the class`)) return;
          const n = Math.floor((spans.npages(s) * pageSize) / size);
          let free = 0;
          for (let v = spans.freelist(s); v !== 0 && free <= n; v = windows.link(v)) {
            this.#freeObject(v, c);
            if (!windows.isFreeBlock(v)) break;
            free++;
          }
          this.#check(
            free > 0 === (list === mcentral.nonempty),
            () => `central ${c}: span ${s} in the wrong list`,
          );
          this.#equal(`span ${s}: ref + free`, spans.ref(s) + free, n);
          nfree += free;
        });
      }
      let ofClass = 0;
      for (const s of this.#inUse) if (spans.sizeclass(s) === c) ofClass++;
      this.#equal(`central ${c}: spans`, listed, ofClass);
      this.#equal(`central ${c}: nfree`, mcentral.nfree, nfree);
      this.#inCentral += nfree;
    }
  }

  #caches(): void {
    const { heap, caches } = this.#parts;
    const { windows, classes } = heap;
    for (const cache of caches) {
      let bytes = 0;
      for (let c = 1; c < classes.count; c++) {
        const { head, nlist, nlistmin } = cache.list(c);
        let count = 0;
        for (let v = head; v !== 0 && count <= nlist; v = windows.link(v)) {
          this.#freeObject(v, c);
          if (!windows.isFreeBlock(v)) break;
          count++;
        }
        this.#equal(`cache: nlist of class ${c}`, nlist, count);
        this.#check(nlistmin <= nlist, () => `cache: nlistmin of class ${c} is more than nlist`);
        bytes += count * (classes.classToSize[c] as number);
        this.#cached += count;
      }
      this.#equal('cachedBytes', cache.cachedBytes, bytes);
    }
  }

  /** The bitmap of a span in use says of each block what the lists say, and has no other bit. */
  #blocks(s: number): void {
    const { heap } = this.#parts;
    const { spans, windows, arena, classes, pageSize } = heap;
    const start = windows.pageAddress(spans.start(s));
    const bytes = spans.npages(s) * pageSize;
    const c = spans.sizeclass(s);
    const { bits } = arena;
    let allocated = 0;
    let expectedBits = 0;
    const size = c === 0 ? bytes : (classes.classToSize[c] as number);
    const n = Math.floor(bytes / size);
    for (let i = 0; i < n; i++) {
      const at = start + i * size;
      if (bits.isAllocated(at)) {
        allocated++;
        expectedBits += bits.isNoPointers(at) ? 2 : 1;
      } else {
        this.#check(bits.isBoundary(at), () => `block ${formatAddress(at)}: neither allocated nor free`);
        expectedBits++;
      }
    }
    if (c !== 0 && n * size < bytes) expectedBits++;
    this.#equal(`span ${s}: bits`, bits.countBits(start, bytes), expectedBits);
    const free = this.#freeObjects.get(s)?.size ?? 0;
    this.#equal(`span ${s}: allocated + free blocks`, allocated + free, n);
    this.#allocatedByClass[c] = (this.#allocatedByClass[c] ?? 0) + allocated;
    if (c === 0) this.#largeBytes += bytes;
  }

  #counts(): void {
    const { heap, caches, cacheRecords, large } = this.#parts;
    const stats = memStats(heap, caches, cacheRecords, large);
    for (const [c, { Mallocs, Frees }] of stats.BySize.entries()) {
      if (c > 0) this.#equal(`objects of class ${c}`, Mallocs - Frees, this.#allocatedByClass[c] ?? 0);
    }
    this.#equal('large objects', large.nmalloc - large.nfree, this.#allocatedByClass[0] ?? 0);
    this.#equal('bytes of large objects', large.allocBytes, this.#largeBytes);
    this.#equal('HeapSys', stats.HeapSys, stats.HeapInuse + stats.HeapIdle);
    this.#check(stats.HeapReleased <= stats.HeapIdle, () => 'HeapReleased is more than HeapIdle');
    const { records } = heap.spans;
    this.#equal('MSpanInuse', records.inuseBytes, (this.#inUse.size + this.#free.size) * records.recordBytes);
    for (const problem of [...records.verify('spans'), ...cacheRecords.verify('caches')]) {
      this.#check(false, () => problem);
    }
  }

  /** MemStats against the reservations' own count, and that against the operating system's. */
  #operatingSystem(): {
    committedBytes: number;
    osCommittedBytes: number;
    residentBytes: number;
  } {
    const { heap, caches, cacheRecords, large } = this.#parts;
    const stats = memStats(heap, caches, cacheRecords, large);
    let committedBytes = 0;
    let osCommittedBytes = 0;
    let residentBytes = 0;
    for (const piece of heap.sys.pieces) {
      for (const range of piece.committedRanges()) committedBytes += range.sizeBytes;
      const os = piece.stats();
      osCommittedBytes += os.osCommittedBytes;
      residentBytes += os.residentBytes;
    }
    const givenBack = heap.sys.platform.unused === 'decommit' ? stats.HeapReleased : 0;
    this.#equal('committed bytes', committedBytes, stats.Sys - givenBack);
    this.#equal('committed bytes by the operating system', osCommittedBytes, committedBytes);
    return { committedBytes, osCommittedBytes, residentBytes };
  }
}

/** Checks a heap; the report, and what is wrong. */
export function verifyHeap(parts: HeapParts): {
  report: HeapReport;
  problems: readonly string[];
} {
  const verifier = new Verifier(parts);
  const report = verifier.run();
  return { report, problems: verifier.problems };
}
