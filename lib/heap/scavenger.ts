/**
 * Go's scavenger (MHeap_Scavenger): gives the pages of spans that have long been free back to the operating system.
 *
 * Invariants: a span's npreleased counts pages that are whole pages of the operating system and went through
 * sysUnused since they were last in use; with `releaseShadow` their shadow went too. The timer keeps neither the
 * process nor the heap alive.
 */
import { LazyShadowError } from '../native/errors.js';
import { MaxMHeapList, type MHeap } from './mheap.js';

/** Go's period and age: looked at every minute, given back when unused for five. */
export const SCAVENGE_PERIOD_MS = 60_000;
export const SCAVENGE_UNUSED_MS = 5 * 60_000;

/** Gives back what has been free for at least unusedForMs; returns how many bytes more that is. */
export function scavenge(heap: MHeap, unusedForMs: number): number {
  const before = heap.heapReleased;
  const now = heap.now();
  let failure: unknown;
  for (let n = 1; n <= MaxMHeapList; n++) {
    const list = heap.listFor(n);
    for (let s = heap.spans.next(list); s !== list; s = heap.spans.next(s)) {
      if (now - heap.spans.unusedsince(s) < unusedForMs) continue;
      try {
        scavengeSpan(heap, s);
      } catch (error) {
        failure ??= error; // the others can still go
      }
    }
  }
  if (failure !== undefined) {
    throw new LazyShadowError(
      'ERR_OS',
      `scavenge: some pages or their shadow could not be given back: ${failure instanceof Error ? failure.message : failure}`,
      { verb: 'scavenge', cause: failure },
    );
  }
  return heap.heapReleased - before;
}

function scavengeSpan(heap: MHeap, s: number): void {
  const { spans, windows, pageSize } = heap;
  const { address, npages } = heap.releasable(s);
  if (spans.npreleased(s) >= npages) return;
  heap.sys.sysUnused(address, npages * pageSize);
  heap.heapReleased += (npages - spans.npreleased(s)) * pageSize;
  spans.setNpreleased(s, npages);
  if (npages === spans.npages(s) && heap.sys.platform.unusedReadsZero) spans.setNeedzero(s, 0);
  if (heap.releaseShadow) {
    heap.race.raceunmapshadow(windows.pageAddress(spans.start(s)), spans.npages(s) * pageSize);
  }
}

/** Runs `scavenge` on `target` as Go does, until it is gone or the returned function is called. */
export function startScavenger(target: { scavengeOld(unusedForMs: number): void }): () => void {
  const weak = new WeakRef(target);
  const timer = setInterval(() => {
    const heap = weak.deref();
    if (heap === undefined) {
      clearInterval(timer);
      return;
    }
    try {
      heap.scavengeOld(SCAVENGE_UNUSED_MS);
    } catch {
      // Nobody called, so nobody can be told; what could not go is looked at again in a minute.
    }
  }, SCAVENGE_PERIOD_MS);
  timer.unref();
  return () => clearInterval(timer);
}
