/**
 * Go's MemStats, by its public names, drawn from the counters of the structures.
 *
 * Always: HeapSys = HeapInuse + HeapIdle; HeapReleased ≤ HeapIdle; Sys = HeapSys + MSpanSys + MCacheSys + OtherSys,
 * and that, less HeapReleased where scavenging gives the commit charge back, is what the operating system counts.
 */
import type { FixAlloc } from './fixalloc.js';
import type { MCache } from './mcache.js';
import type { MHeap } from './mheap.js';

/** Counts of one size class; index 0 is that of large objects and stays empty, as in Go. */
export interface MemStatsBySize {
  /** Bytes of an object of the class. */
  readonly Size: number;
  /** Objects allocated. */
  readonly Mallocs: number;
  /** Objects freed. */
  readonly Frees: number;
}

/** All in bytes, but Mallocs, Frees, HeapObjects and those of BySize. */
export interface MemStats {
  /** Allocated and not yet freed, by the sizes of the classes. */
  readonly Alloc: number;
  /** Allocated over the whole time. */
  readonly TotalAlloc: number;
  /** Obtained from the operating system. */
  readonly Sys: number;
  /** Objects allocated over the whole time. */
  readonly Mallocs: number;
  /** Objects freed over the whole time. */
  readonly Frees: number;
  /** The same as Alloc. */
  readonly HeapAlloc: number;
  /** Obtained for the arena. */
  readonly HeapSys: number;
  /** In free spans. */
  readonly HeapIdle: number;
  /** In spans in use. */
  readonly HeapInuse: number;
  /** The part of HeapIdle that was given back to the operating system. */
  readonly HeapReleased: number;
  /** Objects allocated and not yet freed. */
  readonly HeapObjects: number;
  /** Records of spans. */
  readonly MSpanInuse: number;
  /** Obtained for records of spans. */
  readonly MSpanSys: number;
  /** Records of caches. */
  readonly MCacheInuse: number;
  /** Obtained for records of caches. */
  readonly MCacheSys: number;
  /** The allocation bitmap. */
  readonly OtherSys: number;
  /** By size class. */
  readonly BySize: readonly MemStatsBySize[];
}

/** What large objects, which pass by the caches, are counted in. */
export interface LargeCounts {
  nmalloc: number;
  nfree: number;
  allocBytes: number;
  totalBytes: number;
}

export function memStats(
  heap: MHeap,
  caches: readonly MCache[],
  cacheRecords: FixAlloc,
  large: Readonly<LargeCounts>,
): MemStats {
  const { classes } = heap;
  let mallocs = large.nmalloc;
  let frees = large.nfree;
  let alloc = large.allocBytes;
  let total = large.totalBytes;
  const bySize: MemStatsBySize[] = [];
  for (let c = 0; c < classes.count; c++) {
    const size = classes.classToSize[c] as number;
    let nmalloc = 0;
    let nfree = 0;
    for (const cache of caches) {
      nmalloc += cache.nmalloc(c);
      nfree += cache.nfree(c);
    }
    bySize.push({ Size: size, Mallocs: nmalloc, Frees: nfree });
    mallocs += nmalloc;
    frees += nfree;
    alloc += (nmalloc - nfree) * size;
    total += nmalloc * size;
  }
  const heapSys = heap.arena.heapBytes;
  const mspanSys = heap.spans.records.sysBytes;
  const mcacheSys = cacheRecords.sysBytes;
  const otherSys = heap.arena.bits.mappedBytes;
  return {
    Alloc: alloc,
    TotalAlloc: total,
    Sys: heapSys + mspanSys + mcacheSys + otherSys,
    Mallocs: mallocs,
    Frees: frees,
    HeapAlloc: alloc,
    HeapSys: heapSys,
    HeapIdle: heap.heapIdle,
    HeapInuse: heap.heapInuse,
    HeapReleased: heap.heapReleased,
    HeapObjects: mallocs - frees,
    MSpanInuse: heap.spans.records.inuseBytes,
    MSpanSys: mspanSys,
    MCacheInuse: cacheRecords.inuseBytes,
    MCacheSys: mcacheSys,
    OtherSys: otherSys,
    BySize: bySize,
  };
}
