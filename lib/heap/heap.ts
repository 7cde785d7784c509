/**
 * The public heap: Go's malloc.goc over MCache, MCentral, MHeap and the Sys verbs, on real memory.
 *
 *     malloc → MCache → MCentral → MHeap → Arena.sysAlloc → Sys → the operating system        (docs/heap.md)
 *
 * Invariants: an address that malloc returned is memory that can be read and written, zero, known to the race
 * runtime, until it is freed; a call that throws has changed nothing. A heap belongs to the thread that made it.
 */
import { checkedSize, wholeNumber } from '../native/arguments.js';
import { formatAddress, LazyShadowError } from '../native/errors.js';
import type { Arena, HeapForm } from './arena.js';
import { type HeapOptions, type HeapSeams, mallocinit } from './mallocinit.js';
import type { MCache } from './mcache.js';
import { type MemStats, memStats } from './memstats.js';
import type { MHeap } from './mheap.js';
import { MaxSmallSize } from './msize.js';
import { scavenge, startScavenger } from './scavenger.js';
import { type HeapParts, type HeapReport, verifyHeap } from './verify.js';
import { MAX_WINDOW_BYTES as MAX_VIEW_BYTES, Views } from './views.js';
import type { Windows } from './windows.js';
import * as layout from './windows.js';

// Own constants: V8 folds these, and loads imported ones from their module each time.
const { PAGE_CLASS_MASK, PER_STRIDE, STRIDE_BYTES, STRIDE_MASK, WIDE_BIT_TOP } = layout;
const MAX_SMALL_SIZE = MaxSmallSize;

/** Flag of mallocgc: the block holds no pointers (it is noted in the bitmap). */
export const FlagNoPointers = 1 << 0;
/** Flag of mallocgc: the caller will write all of the block, so it need not be zero. */
export const FlagNoZero = 1 << 3;
const NO_ZERO = FlagNoZero;

/** The block that an address is in: what mlookup finds. */
export interface Block {
  /** Address of its first byte. */
  readonly base: number;
  /** Its length: that of its size class, or of its pages. */
  readonly sizeBytes: number;
  /** Whether it is allocated. */
  readonly allocated: boolean;
  /** Whether it was allocated with FlagNoPointers. */
  readonly noPointers: boolean;
}

/** A heap as Go had it in 2012, over real memory. */
export class Heap {
  /** Which of mallocinit's forms it has: that asked for, or what Go falls back to. */
  readonly form: HeapForm;
  /** Bytes of a page of the heap. */
  readonly pageSizeBytes: number;
  /** Logical processors: caches. */
  readonly procs: number;

  readonly #parts: HeapParts;
  readonly #heap: MHeap;
  readonly #arena: Arena;
  // #private like all else, though a field that anyone can reach costs malloc less: windows span memory that is not
  // committed, and merely printing a heap that shows them would end the process.
  readonly #windows: Windows;
  readonly #views: Views;
  readonly #sizeToClass8: Uint8Array;
  readonly #stopScavenger: () => void;
  #mcache: MCache;
  #proc = 0;
  #released = false;
  #mallocing = false;
  /** Whether malloc and free may go the short way: 64-bit form, no detector, not released. */
  #plain: boolean;
  /** Whether free need not look for views. */
  #unseen = true;

  /** @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_MEMORY */
  constructor(options: HeapOptions = {}, seams: HeapSeams = {}) {
    this.#parts = mallocinit(options, seams);
    this.#heap = this.#parts.heap;
    this.#arena = this.#heap.arena;
    this.#windows = this.#heap.windows;
    this.#views = new Views(this.#heap.sys.os, this.#heap.sys);
    this.#sizeToClass8 = this.#heap.classes.sizeToClass8;
    this.#mcache = this.#parts.caches[0] as MCache;
    this.form = this.#arena.form;
    this.pageSizeBytes = this.#heap.pageSize;
    this.procs = this.#parts.caches.length;
    this.#plain = !this.#heap.race.raceenabled && this.#arena.wordBytes === 8;
    try {
      this.free(this.malloc(1)); // see if it works
    } catch (error) {
      this.#heap.sys.releaseAll();
      throw error;
    }
    this.#stopScavenger = options.scavenger === false ? () => {} : startScavenger(this);
  }

  /** First address of the arena, and the end of what is in use of it. */
  get arenaStart(): number {
    return this.#arena.arenaStart;
  }
  /** First address above what the heap has taken of its arena. */
  get arenaUsed(): number {
    return this.#arena.arenaUsed;
  }
  /** Whether its memory has been given back. */
  get released(): boolean {
    return this.#released;
  }

  /**
   * The logical processor whose cache the next calls use.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE: the heap has no such processor
   */
  get proc(): number {
    return this.#proc;
  }
  /** Chooses it. */
  set proc(proc: number) {
    const cache = this.#parts.caches[wholeNumber('proc', 'proc', proc)];
    if (cache === undefined) {
      throw new LazyShadowError(
        'ERR_OUT_OF_RANGE',
        `proc: the heap has ${this.procs} processors. Give procs.`,
        {
          verb: 'proc',
        },
      );
    }
    this.#proc = proc;
    this.#mcache = cache;
  }

  /**
   * A block of at least `size` zero bytes; 0 counts as 1.
   * @returns its address
   * @throws LazyShadowError ERR_OUT_OF_MEMORY, ERR_INVALID_ARGUMENT, ERR_RELEASED
   */
  malloc(size: number | bigint): number {
    if (this.#plain && typeof size === 'number' && size >>> 0 === size && size <= MAX_SMALL_SIZE) {
      const address = this.#mcache.allocFast(this.#sizeToClass8[(size + 7) >> 3] as number, true);
      if (address !== 0) return address;
    }
    return this.#mallocAny(size, 0);
  }

  /**
   * As {@link Heap.malloc}, with flags: FlagNoPointers, FlagNoZero. Those that speak to a collector have no meaning here.
   * @throws LazyShadowError as malloc
   */
  mallocgc(size: number | bigint, flags: number): number {
    if (
      flags === NO_ZERO &&
      this.#plain &&
      typeof size === 'number' &&
      size >>> 0 === size &&
      size <= MAX_SMALL_SIZE
    ) {
      const address = this.#mcache.allocFast(this.#sizeToClass8[(size + 7) >> 3] as number, false);
      if (address !== 0) return address;
    }
    return this.#mallocAny(size, flags);
  }

  #mallocAny(size: number | bigint, flags: number): number {
    return this.#alone('malloc', () => this.#mallocgc(size, flags));
  }

  #mallocgc(size: number | bigint, flags: number): number {
    const wanted = wholeNumber('malloc', 'size', size) || 1;
    if ((flags & ~(FlagNoPointers | FlagNoZero)) !== 0) {
      throw new LazyShadowError(
        'ERR_INVALID_ARGUMENT',
        `malloc: unknown flags ${flags}; use FlagNoPointers and FlagNoZero.`,
        { verb: 'malloc', sizeBytes: wanted },
      );
    }
    const zeroed = (flags & FlagNoZero) === 0;
    const noPointers = (flags & FlagNoPointers) !== 0;
    let address: number;
    let blockBytes: number;
    if (wanted <= MaxSmallSize) {
      const sizeclass = this.#sizeToClass8[(wanted + 7) >> 3] as number;
      blockBytes = this.#heap.classes.classToSize[sizeclass] as number;
      address = this.#mcache.alloc(sizeclass, zeroed, noPointers);
    } else {
      blockBytes = Math.ceil(wanted / this.pageSizeBytes) * this.pageSizeBytes;
      address = this.#allocLarge(blockBytes, zeroed, noPointers);
    }
    if (address === 0) throw this.#outOfMemory(wanted);
    const { race } = this.#heap;
    if (race.raceenabled) {
      try {
        race.racemalloc(address, blockBytes);
      } catch (error) {
        this.#freeBlock(address, true);
        throw error;
      }
    }
    return address;
  }

  /**
   * Gives a block back; its views are detached. 0 is fine and nothing.
   * @throws LazyShadowError ERR_NOT_ALLOCATED if no allocated block begins at the address; nothing is changed then
   */
  free(address: number | bigint): void {
    if (this.#plain && this.#unseen && typeof address === 'number') {
      const m = this.#windows;
      const off = address - m.arenaStart;
      const w = (off * PER_STRIDE) | 0;
      const b = (off | 0) & STRIDE_MASK;
      if (off >= 0 && off < m.usedBytes && w * STRIDE_BYTES + b === off) {
        const bits = m.bits[w] as Int32Array;
        const bitIndex = WIDE_BIT_TOP - ((b >> 7) << 1);
        const allocated = 1 << ((b >> 3) & 15);
        const word = bits[bitIndex] as number;
        const sizeclass = ((m.pages[w] as Int32Array)[b >> m.pageShift] as number) & PAGE_CLASS_MASK;
        if ((word & allocated) !== 0 && sizeclass !== 0) {
          bits[bitIndex] = (word & ~allocated) | (allocated << 16);
          this.#mcache.freeFast(address, w, b, sizeclass);
          return;
        }
      }
    }
    this.#freeAny(address);
  }

  /**
   * The block that an address lies in, allocated or in a free list: Go's mlookup. Null for an address in no span
   * in use, or past the last block of one.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_RELEASED
   */
  mlookup(address: number | bigint): Block | null {
    this.#live('mlookup');
    const v = wholeNumber('mlookup', 'address', address);
    const { arenaStart, arenaUsed, bits } = this.#arena;
    if (v < arenaStart || v >= arenaUsed) return null;
    const { spans, classes } = this.#heap;
    const s = this.#heap.lookup(v - arenaStart);
    if (s === 0) return null;
    const start = this.#windows.pageAddress(spans.start(s));
    // An entry of the page map may be older than its span: MHeap_LookupMaybe.
    if (!spans.isInUse(s) || v < start || v >= spans.limit(s)) return null;
    const sizeclass = spans.sizeclass(s);
    const sizeBytes =
      sizeclass === 0 ? spans.npages(s) * this.pageSizeBytes : (classes.classToSize[sizeclass] as number);
    const base = start + Math.floor((v - start) / sizeBytes) * sizeBytes;
    return {
      base,
      sizeBytes,
      allocated: bits.isAllocated(base),
      noPointers: bits.isNoPointers(base),
    };
  }

  /**
   * The bytes of an allocated block, or of a part of it: shared, not copied, and detached (length 0) when the block
   * is freed or the heap released.
   * @throws LazyShadowError ERR_NOT_ALLOCATED, ERR_OUT_OF_RANGE (beyond the block), ERR_INVALID_ARGUMENT
   */
  bytes(address: number | bigint, sizeBytes: number | bigint): Uint8Array {
    this.#live('bytes');
    const start = wholeNumber('bytes', 'address', address);
    const size = checkedSize('bytes', sizeBytes);
    const block = this.mlookup(start);
    if (block === null || !block.allocated) throw notAllocated('bytes', start);
    if (start + size > block.base + block.sizeBytes) {
      throw new LazyShadowError(
        'ERR_OUT_OF_RANGE',
        `bytes: ${size} bytes at ${formatAddress(start)} reach beyond their block of ${block.sizeBytes} bytes at ${formatAddress(block.base)}. Ask for less.`,
        { verb: 'bytes', address: start, sizeBytes: size },
      );
    }
    if (size > MAX_VIEW_BYTES) {
      throw new LazyShadowError(
        'ERR_UNSUPPORTED',
        `bytes: a view has at most ${MAX_VIEW_BYTES} bytes. Take several.`,
        { verb: 'bytes', address: start, sizeBytes: size },
      );
    }
    const view = this.#views.open(block.base, block.sizeBytes, start, size);
    this.#unseen = false;
    return view;
  }

  /**
   * Go's MemStats.
   * @throws LazyShadowError ERR_RELEASED
   */
  memStats(): MemStats {
    this.#live('memStats');
    const { heap, caches, cacheRecords, large } = this.#parts;
    return memStats(heap, caches, cacheRecords, large);
  }

  /**
   * MCache_ReleaseAll of every processor: free objects go back to their spans, and empty spans to the page heap.
   * @throws LazyShadowError ERR_RELEASED, ERR_INVALID_USE (by a race hook)
   */
  flushCaches(): void {
    this.#alone('flushCaches', () => {
      for (const cache of this.#parts.caches) cache.releaseAll();
    });
  }

  /**
   * Gives free pages back to the operating system, as Go's debug.FreeOSMemory: with what the caches hold, and
   * whatever their age. (What runs by itself every minute leaves the caches alone, and pages younger than 5 minutes.)
   * @returns bytes by which HeapReleased grew
   * @throws LazyShadowError ERR_RELEASED, ERR_INVALID_USE (by a race hook); ERR_OS if pages, or their shadow, could not be
   *   given back: all others were
   */
  scavenge(): number {
    this.flushCaches();
    return this.#alone('scavenge', () => scavenge(this.#heap, 0));
  }

  /**
   * What the timer does: gives back what has been free for at least so many milliseconds. Nothing once released.
   * @returns bytes by which HeapReleased grew
   * @throws LazyShadowError ERR_INVALID_USE, ERR_OS, as {@link Heap.scavenge}
   */
  scavengeOld(unusedForMs: number): number {
    return this.#released ? 0 : this.#alone('scavenge', () => scavenge(this.#heap, unusedForMs));
  }

  /**
   * Walks every structure and checks every invariant, up to the operating system's count of the memory. Takes as long
   * as there are blocks.
   * @throws LazyShadowError ERR_CORRUPT with all that is wrong
   */
  verify(): HeapReport {
    this.#live('verify');
    const { report, problems } = verifyHeap(this.#parts);
    if (problems.length === 0) return report;
    throw new LazyShadowError('ERR_CORRUPT', `verify: ${problems.join('; ')}. Please report this.`, {
      verb: 'verify',
    });
  }

  /** Gives all memory back, shadow included, and detaches every view. Again is nothing. */
  release(): void {
    if (this.#released) return;
    this.#alone('release', () => this.#release());
  }

  #release(): void {
    this.#released = true;
    this.#plain = false;
    this.#stopScavenger();
    this.#views.closeAll();
    const { sys, spans, race } = this.#heap;
    this.#windows.close();
    spans.records.close();
    this.#parts.cacheRecords.close();
    sys.releaseAll();
    const usedBytes = this.#arena.arenaUsed - this.#arena.arenaStart;
    if (race.raceenabled && usedBytes > 0) race.raceunmapshadow(this.#arena.arenaStart, usedBytes);
  }

  #allocLarge(blockBytes: number, zeroed: boolean, noPointers: boolean): number {
    const npages = blockBytes / this.pageSizeBytes;
    const s = this.#heap.alloc(npages, 0, zeroed);
    if (s === 0) return 0;
    const address = this.#windows.pageAddress(this.#heap.spans.start(s));
    this.#arena.bits.markallocated(address, noPointers);
    const { large } = this.#parts;
    large.nmalloc++;
    large.allocBytes += blockBytes;
    large.totalBytes += blockBytes;
    return address;
  }

  /** Out of free, where the function that is made here would cost every call. */
  #freeAny(address: number | bigint): void {
    this.#alone('free', () => this.#freeSlow(address));
  }

  #freeSlow(address: number | bigint): void {
    const v = wholeNumber('free', 'address', address);
    if (v === 0) return;
    const block = this.mlookup(v);
    if (block === null || block.base !== v || !block.allocated) throw notAllocated('free', v);
    const { race } = this.#heap;
    if (race.raceenabled) race.racefree(v, block.sizeBytes);
    this.#views.close(v);
    this.#unseen = this.#views.size === 0;
    this.#freeBlock(v, false);
  }

  /** Gives back a block that is allocated; `undo` if it was never handed out, so that it is not counted. */
  #freeBlock(v: number, undo: boolean): void {
    const { spans } = this.#heap;
    const { large } = this.#parts;
    const off = v - this.#arena.arenaStart;
    const s = this.#heap.lookup(off);
    const sizeclass = spans.sizeclass(s);
    this.#arena.bits.markfreed(v);
    if (sizeclass !== 0) {
      this.#mcache.free(v, sizeclass);
      if (undo) this.#mcache.uncount(sizeclass);
      return;
    }
    const blockBytes = spans.npages(s) * this.pageSizeBytes;
    this.#arena.bits.unmarkspan(v, this.pageSizeBytes);
    spans.setNeedzero(s, 1);
    this.#heap.free(s);
    large.allocBytes -= blockBytes;
    if (undo) {
      large.nmalloc--;
      large.totalBytes -= blockBytes;
    } else {
      large.nfree++;
    }
  }

  #outOfMemory(size: number): LazyShadowError {
    const cause = this.#arena.lastFailure;
    const why = cause instanceof Error ? ` ${cause.message}` : '';
    return new LazyShadowError(
      'ERR_OUT_OF_MEMORY',
      `runtime: out of memory: cannot allocate ${size}-byte block (${this.#arena.heapBytes} in use).${why} Free some blocks, or raise the limit.`,
      {
        verb: 'malloc',
        sizeBytes: size,
        osCode: cause instanceof LazyShadowError ? cause.osCode : undefined,
        cause,
      },
    );
  }

  /** Go's m->mallocing: race hooks are called in the middle of a step, and must not begin another. */
  #alone<Result>(verb: string, step: () => Result): Result {
    this.#live(verb);
    if (this.#mallocing) {
      throw new LazyShadowError(
        'ERR_INVALID_USE',
        `${verb}: malloc/free - deadlock: a race hook called the heap that called it. Do it after the hook.`,
        { verb },
      );
    }
    this.#mallocing = true;
    try {
      return step();
    } finally {
      this.#mallocing = false;
    }
  }

  #live(verb: string): void {
    if (!this.#released) return;
    throw new LazyShadowError('ERR_RELEASED', `${verb}: the heap has been released. Make a new one.`, {
      verb,
    });
  }
}

function notAllocated(verb: string, address: number): LazyShadowError {
  const hex = `0x${address.toString(16)}`;
  return new LazyShadowError(
    'ERR_NOT_ALLOCATED',
    `${verb} ${hex}: not an allocated block. Only what malloc returned, and once.`,
    { verb, address },
  );
}
