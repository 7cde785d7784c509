/**
 * Where the heap's memory lies: mallocinit's choice of addresses, and MHeap_SysAlloc, which makes the arena grow.
 *
 *     64-bit form:   [bitmap ···←][arena →···············································]
 *                    one region at the hint, else anywhere                      arenaEnd
 *     32-bit form:   data end, [bitmap for 2 GiB][arena 512 MiB][+256 MiB]…, and what the system places within 2 GiB
 *
 * Invariants: [arenaStart, arenaUsed) has its bitmap mapped, its windows open and was told to the race runtime
 * before any of it was handed out; a sysAlloc that fails leaves arenaUsed, the bitmap and the memory as they were.
 */
import { LazyShadowError } from '../native/errors.js';
import { MapBits } from './mapbits.js';
import type { RaceHooks } from './race-hooks.js';
import type { Sys } from './sys.js';
import { Windows, type WordBytes } from './windows.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Go's hint: no valid UTF-8 begins like a pointer into this range, which helps when memory is dumped. */
export const ARENA_HINT = 0x00c0_0000_0000;

/** MaxArena32: the bitmap of the 32-bit form covers this much. */
export const MaxArena32 = 2 * GiB;

/** First arena of the 32-bit form, and the step in which it grows. */
const ARENA32_BYTES = 512 * MiB;
const ARENA32_STEP_BYTES = 256 * MiB;

/** The 32-bit form begins this far after the data segment, rounded up to 1 MiB: clear of the program's break. */
const PAST_DATA_BYTES = 256 * 1024;

/** From Go's hint on, layouts have shadow for this much. */
const LAYOUT_HEAP_BYTES = 128 * GiB;

/** Where a program's data ends if the caller has not said: Go's linker starts programs at 4 MiB. */
const DEFAULT_DATA_END = 8 * MiB;

export type HeapForm = '64-bit' | '32-bit';

export interface ArenaOptions {
  readonly form: HeapForm;
  readonly pageShift: number;
  readonly hint: number;
  readonly maxMemBytes: number;
  /** End of the data segment, for the 32-bit form: an address. */
  readonly dataEnd: number | undefined;
}

/** Addresses of the arena, as mallocinit chose them. */
interface Placement {
  readonly form: HeapForm;
  readonly wordBytes: WordBytes;
  readonly bitmapStart: number;
  readonly arenaStart: number;
  readonly arenaEnd: number;
  readonly reserved: boolean;
}

/** sysReserve checks addresses that are multiples of 64 KiB, every system's allocation granularity. */
const CHECK_UNIT = 64 * 1024;

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/**
 * More places for a region of that size within the addresses that layouts have shadow for, from the hint on, side by
 * side. Go has one: in its processes nothing else is there. On Windows V8 scatters its pages over 4 TiB that hold the
 * hint: in a process with little in it one of them lies in the way of 34 GiB about every second time, of 1 GiB seldom.
 */
function furtherHints(hint: number, bytes: number): number[] {
  const step = roundUp(bytes, MiB);
  const hints: number[] = [];
  for (let at = hint + step; at + bytes <= hint + LAYOUT_HEAP_BYTES; at += step) hints.push(at);
  return hints;
}

/** The first half of mallocinit: the 64-bit region, or the 32-bit one if that is refused or wished for. */
function placeArena(sys: Sys, options: ArenaOptions): Placement {
  const unit = Math.max(2 ** options.pageShift, sys.os.pageSizeBytes);
  if (options.form === '64-bit') {
    const arenaBytes = options.maxMemBytes;
    const bitmapBytes = roundUp(arenaBytes / 16, unit);
    const bytes = bitmapBytes + arenaBytes + unit; // unit: room to align
    const places = {
      firstUse: roundUp(options.hint + bitmapBytes, CHECK_UNIT),
      otherHints: furtherHints(options.hint, bytes),
    };
    const region = sys.sysReserve(options.hint, bytes, places) ?? sys.sysReserve(undefined, bytes);
    if (region !== null) {
      const arenaStart = roundUp(region.address + bitmapBytes, unit);
      return {
        form: '64-bit',
        wordBytes: 8,
        bitmapStart: arenaStart - bitmapBytes,
        arenaStart,
        arenaEnd: arenaStart + arenaBytes,
        reserved: region.reserved,
      };
    }
  }
  // Words are those of the machine: a 64-bit program that falls back keeps 8 bytes.
  const wordBytes = sys.within === undefined ? 8 : 4;
  const bitmapBytes = MaxArena32 / (wordBytes * 2);
  const dataEnd = options.dataEnd ?? (sys.within?.address ?? 0) + DEFAULT_DATA_END;
  const want = roundUp(dataEnd + PAST_DATA_BYTES, MiB);
  const bytes = bitmapBytes + ARENA32_BYTES;
  // Room to align, of which the end must be where the system can place the next reservation.
  const room = Math.max(unit, sys.os.allocationGranularityBytes);
  const region = sys.sysReserve(want, bytes + room);
  if (region === null) {
    throw new LazyShadowError(
      'ERR_OUT_OF_MEMORY',
      'runtime: cannot reserve arena virtual address space. Raise ulimit -v, or give a smaller maxMemBytes.',
      { verb: 'sysReserve', address: want, sizeBytes: bytes },
    );
  }
  const arenaStart = roundUp(region.address + bitmapBytes, unit);
  return {
    form: '32-bit',
    wordBytes,
    bitmapStart: arenaStart - bitmapBytes,
    arenaStart,
    // To the end of the reservation, so that the next one can follow it without a gap.
    arenaEnd: region.address + bytes + room,
    reserved: region.reserved,
  };
}

export class Arena {
  readonly form: HeapForm;
  readonly wordBytes: WordBytes;
  readonly bitmapStart: number;
  readonly arenaStart: number;
  arenaEnd: number;
  arenaUsed: number;
  /** What the last sysAlloc that answered null could not do. */
  lastFailure: unknown;
  readonly windows: Windows;
  readonly bits: MapBits;
  /** Bytes of [arenaStart, arenaUsed) that are the heap's: less than all only where the system left holes. */
  heapBytes = 0;
  readonly #sys: Sys;
  readonly #race: RaceHooks;
  readonly #reserved: boolean;

  constructor(sys: Sys, race: RaceHooks, options: ArenaOptions) {
    const placement = placeArena(sys, options);
    this.form = placement.form;
    this.wordBytes = placement.wordBytes;
    this.bitmapStart = placement.bitmapStart;
    this.arenaStart = placement.arenaStart;
    this.arenaEnd = placement.arenaEnd;
    this.arenaUsed = placement.arenaStart;
    this.#sys = sys;
    this.#race = race;
    this.#reserved = placement.reserved;
    this.windows = new Windows(sys.os, this.arenaStart, this.wordBytes, options.pageShift);
    this.bits = new MapBits(sys, this.windows, placement.reserved);
  }

  /** Most pages that the arena can ever have. */
  maxPages(pageShift: number): number {
    const bytes = this.form === '64-bit' ? this.arenaEnd - this.arenaStart : MaxArena32;
    return Math.ceil(bytes / 2 ** pageShift);
  }

  /**
   * MHeap_SysAlloc: sizeBytes more memory, zero, known to the race runtime; null if there is none, and
   * `lastFailure` says why. Errors that are no lack of memory are thrown, and change nothing either.
   */
  sysAlloc(sizeBytes: number): number | null {
    this.lastFailure = undefined;
    if (this.form === '32-bit' && sizeBytes > this.arenaEnd - this.arenaUsed) this.#reserveFurther(sizeBytes);
    try {
      if (sizeBytes <= this.arenaEnd - this.arenaUsed) {
        const p = this.arenaUsed;
        this.#sys.sysMap(p, sizeBytes, this.#reserved);
        this.#publish(p, sizeBytes, () => this.#sys.sysFault(p, sizeBytes));
        return p;
      }
      // In the 64-bit form the reservation is all there is.
      return this.form === '64-bit' ? this.#fail('the arena is full') : this.#placedBySystem(sizeBytes);
    } catch (error) {
      if (!(error instanceof LazyShadowError)) throw error;
      if (error.code !== 'ERR_OUT_OF_MEMORY' && error.code !== 'ERR_ADDRESS_TAKEN') throw error;
      this.lastFailure = error;
      return null;
    }
  }

  /** 32-bit: more of the address space behind the arena, if the system gives just that. */
  #reserveFurther(sizeBytes: number): void {
    const needed = roundUp(this.arenaUsed + sizeBytes - this.arenaEnd, ARENA32_STEP_BYTES);
    if (this.arenaEnd + needed > this.arenaStart + MaxArena32) return;
    const region = this.#sys.sysReserve(this.arenaEnd, needed);
    if (region === null) return;
    if (region.address === this.arenaEnd) this.arenaEnd += needed;
    else this.#sys.sysFree(region.address); // Go keeps it, to no use
  }

  /** 32-bit, once the reservation is gone: memory where the system likes, if the bitmap reaches there. */
  #placedBySystem(sizeBytes: number): number | null {
    const p = this.#sys.sysAlloc(sizeBytes);
    if (p === null) return this.#fail('the system has no memory');
    const limit = this.arenaStart + MaxArena32;
    if (p < this.arenaStart || p + sizeBytes > limit || p % 2 ** this.windows.pageShift !== 0) {
      this.#sys.sysFree(p);
      const hex = (address: number) => `0x${address.toString(16)}`;
      return this.#fail(
        `memory allocated by OS (${hex(p)}) not in usable range [${hex(this.arenaStart)},${hex(limit)})`,
      );
    }
    this.#publish(p, sizeBytes, () => this.#sys.sysFree(p));
    return p;
  }

  /** The second half of both success paths: bitmap, then shadow, then nobody can fail any more. */
  #publish(p: number, sizeBytes: number, unmap: () => void): void {
    const { arenaUsed, arenaEnd } = this;
    const bitmapBefore = this.bits.mappedBytes;
    try {
      this.arenaUsed = Math.max(arenaUsed, p + sizeBytes);
      this.arenaEnd = Math.max(arenaEnd, this.arenaUsed);
      const usedBytes = this.arenaUsed - this.arenaStart;
      this.bits.map(usedBytes);
      this.windows.openThrough(usedBytes);
      if (this.#race.raceenabled) this.#race.racemapshadow(p, sizeBytes);
      this.windows.usedBytes = usedBytes;
      this.heapBytes += sizeBytes;
    } catch (error) {
      this.arenaUsed = arenaUsed;
      this.arenaEnd = arenaEnd;
      this.bits.unmapTo(bitmapBefore);
      unmap();
      throw error;
    }
  }

  #fail(why: string): null {
    this.lastFailure = new LazyShadowError('ERR_OUT_OF_MEMORY', `runtime: ${why}.`, { verb: 'sysAlloc' });
    return null;
  }
}
