/**
 * The one thing the heap knows of a race runtime, as Go's malloc.goc knows race.h.
 *
 * Two implementations are chosen between when a heap is made: lib/race's real one, and `race0`, which does
 * nothing, for a heap without a detector (Go's race0.c).
 */

export interface RaceHooks {
  /** Whether there is a detector at all; the heap skips the other calls if not. */
  readonly raceenabled: boolean;
  /**
   * New heap memory: called on both success paths of MHeap_SysAlloc, after the bitmap is mapped and before any
   * of the memory is handed out. If it throws, the memory is not handed out.
   */
  racemapshadow(address: number, sizeBytes: number): void;
  /** A block was allocated; `sizeBytes` is that of its size class. Earlier accesses to it no longer race. */
  racemalloc(address: number, sizeBytes: number): void;
  /** A block is about to be freed; sync objects in it are forgotten. */
  racefree(address: number, sizeBytes: number): void;
  /**
   * Pages went back to the operating system and their shadow may follow, which Go cannot do. The next
   * racemapshadow of the range brings clean shadow.
   */
  raceunmapshadow(address: number, sizeBytes: number): void;
}

/** No detector: Go's race0.c. */
export const race0: RaceHooks = {
  raceenabled: false,
  racemapshadow() {},
  racemalloc() {},
  racefree() {},
  raceunmapshadow() {},
};
