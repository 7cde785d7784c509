/**
 * Go's mallocinit, and raceinit before it: puts a heap together from its options.
 *
 * Invariant: when it throws, everything that was reserved on the way has been given back.
 */
import { checkedSize, wholeNumber } from '../native/arguments.js';
import { LazyShadowError } from '../native/errors.js';
import { ARENA_HINT, Arena, type HeapForm } from './arena.js';
import { FixAlloc } from './fixalloc.js';
import { MCache, mcacheBytes } from './mcache.js';
import { MCentral } from './mcentral.js';
import { MaxMHeapList, MHeap } from './mheap.js';
import { type PageShift, type SizeClasses, sizeClasses } from './msize.js';
import { MSpans } from './mspan.js';
import { nativeMemory } from './os.js';
import { type RaceHooks, race0 } from './race-hooks.js';
import {
  type AddressWindow,
  type OsMemory,
  PLATFORMS,
  Sys,
  type SysPlatformName,
  thisPlatform,
} from './sys.js';
import type { HeapParts } from './verify.js';

/** A program's data and bss, whose shadow raceinit maps. */
export interface DataSegment {
  /** First address of it. */
  readonly noptrdata: number;
  /** First address behind it. */
  readonly enoptrbss: number;
}

/** What a heap is made of; all of it has a default. */
export interface HeapOptions {
  /** The race runtime to tell; none if left out. */
  readonly race?: RaceHooks;
  /** log2 of the heap's page size: 12 (61 size classes) as at the time of the change, or 13 (67) as in later trees. */
  readonly pageShift?: PageShift;
  /** mallocinit's form: 32-bit runs in 4 GiB of addresses from `window32` on, with words of 4 bytes. */
  readonly form?: HeapForm;
  /** Where the 64-bit form would like to begin: Go's 0x00c0 0000 0000. */
  readonly hint?: number;
  /** Most that the 64-bit arena can hold, a multiple of 1 MiB: Go's 128 GiB, on Windows 32 GiB. */
  readonly maxMemBytes?: number;
  /** First of the 32-bit form's addresses, a multiple of 64 KiB. */
  readonly window32?: number;
  /** Logical processors, a cache for each; `heap.proc` says which is running. */
  readonly procs?: number;
  /** false: no timer; only `heap.scavenge()` gives pages back. */
  readonly scavenger?: boolean;
  /** When pages go back to the operating system, their shadow does too, which Go cannot do. */
  readonly releaseShadow?: boolean;
  /** The program's data: its shadow is mapped first of all, and the 32-bit form begins behind it. */
  readonly dataSegment?: DataSegment;
  /** Whose Sys verbs to use, if not this system's. */
  readonly platform?: SysPlatformName;
}

/** Where tests put something else in place. */
export interface HeapSeams {
  readonly os?: OsMemory;
  /** The heap's clock, in milliseconds. */
  readonly now?: () => number;
  /** Where the 32-bit form's system looks for room, from the start of its addresses. */
  readonly mappingBase32?: number;
}

const GiB = 2 ** 30;

/** Most logical processors: Go's limit at the time. */
const MAX_PROCS = 256;

/** The window of the arena's first bitmap reaches 32 MiB below the arena, and no address is below 0. */
const LOWEST_HINT = 32 * 2 ** 20;

/** mmap's base on 32-bit Linux is a third of the way up: 0x5555 5000 there, a multiple of 64 KiB here. */
const MAPPING_BASE_32 = 0x5555_0000;

function invalid(message: string): LazyShadowError {
  return new LazyShadowError('ERR_INVALID_ARGUMENT', `Heap: ${message}`, {
    verb: 'Heap',
  });
}

function checkedOptions(options: HeapOptions, seams: HeapSeams) {
  if (typeof options !== 'object' || options === null) throw invalid('the options must be an object.');
  const {
    pageShift = 12,
    form = '64-bit',
    platform = thisPlatform(),
    procs = 1,
    releaseShadow = false,
  } = options;
  if (pageShift !== 12 && pageShift !== 13) throw invalid('pageShift must be 12 or 13.');
  if (form !== '64-bit' && form !== '32-bit') throw invalid("form must be '64-bit' or '32-bit'.");
  if (!Object.hasOwn(PLATFORMS, platform)) throw invalid("platform must be 'linux', 'darwin' or 'win32'.");
  const count = checkedSize('Heap', procs, undefined, 'procs');
  if (count > MAX_PROCS) throw invalid(`procs must be at most ${MAX_PROCS}.`);
  const maxMemBytes = checkedSize(
    'Heap',
    options.maxMemBytes ?? PLATFORMS[platform].maxMemBytes,
    undefined,
    'maxMemBytes',
  );
  if (maxMemBytes % 2 ** 20 !== 0 || maxMemBytes > 128 * GiB) {
    throw invalid('maxMemBytes must be a multiple of 1 MiB, at most 128 GiB.');
  }
  const hint = wholeNumber('Heap', 'hint', options.hint ?? ARENA_HINT);
  const window32 = wholeNumber('Heap', 'window32', options.window32 ?? ARENA_HINT);
  if (hint % 65536 !== 0 || window32 % 65536 !== 0)
    throw invalid('hint and window32 must be multiples of 64 KiB.');
  if (hint < LOWEST_HINT) throw invalid('hint must be at least 32 MiB.');
  const race = options.race ?? race0;
  const { dataSegment } = options;
  if (dataSegment !== undefined) {
    if (typeof dataSegment !== 'object' || dataSegment === null)
      throw invalid('dataSegment must be an object.');
    const from = wholeNumber('Heap', 'noptrdata', dataSegment.noptrdata);
    const to = wholeNumber('Heap', 'enoptrbss', dataSegment.enoptrbss);
    if (from >= to) throw invalid('dataSegment must end after it begins.');
  }
  const within: AddressWindow | undefined =
    form === '64-bit'
      ? undefined
      : {
          address: window32,
          sizeBytes: 4 * GiB,
          mappingBase: window32 + (seams.mappingBase32 ?? MAPPING_BASE_32),
        };
  return {
    pageShift,
    form,
    platform,
    procs: count,
    releaseShadow,
    maxMemBytes,
    hint,
    race,
    dataSegment,
    within,
  };
}

/** raceinit: maps the shadow of the data segment, rounded to whole pages because it is used in mappings. */
function raceinit(race: RaceHooks, segment: DataSegment | undefined, pageSize: number): void {
  if (!race.raceenabled || segment === undefined) return;
  const start = Math.floor(segment.noptrdata / pageSize) * pageSize;
  const end = Math.ceil(segment.enoptrbss / pageSize) * pageSize;
  race.racemapshadow(start, end - start);
}

/** Lists that the span table needs a head for: the page heap's, and two for each class. */
function listHeads(classes: SizeClasses): number {
  return MaxMHeapList + 2 * classes.count;
}

/** Makes the structures of a heap. What is left of Go's mallocinit, free(malloc(1)), is the caller's. */
export function mallocinit(options: HeapOptions, seams: HeapSeams): HeapParts {
  const o = checkedOptions(options, seams);
  const os = seams.os ?? nativeMemory();
  raceinit(o.race, o.dataSegment, 2 ** o.pageShift);
  const sys = new Sys(os, PLATFORMS[o.platform], o.within);
  try {
    const arena = new Arena(sys, o.race, {
      form: o.form,
      pageShift: o.pageShift,
      hint: o.hint,
      maxMemBytes: o.maxMemBytes,
      dataEnd: o.dataSegment?.enoptrbss,
    });
    const classes = sizeClasses(o.pageShift);
    const spans = new MSpans(sys, arena.maxPages(o.pageShift), listHeads(classes));
    const heap = new MHeap({
      sys,
      arena,
      spans,
      classes,
      race: o.race,
      releaseShadow: o.releaseShadow && o.race.raceenabled,
      now: seams.now ?? (() => performance.now()),
    });
    const central: MCentral[] = [];
    for (let c = 0; c < classes.count; c++) central.push(new MCentral(heap, c));
    const cacheRecords = new FixAlloc(sys, mcacheBytes(classes), o.procs + 1);
    const caches: MCache[] = [];
    for (let p = 0; p < o.procs; p++) {
      const record = cacheRecords.alloc();
      if (record === 0) {
        throw new LazyShadowError('ERR_OUT_OF_MEMORY', 'Heap: no memory for a cache. Give fewer procs.', {
          verb: 'Heap',
        });
      }
      caches.push(new MCache(cacheRecords, record, heap, central));
    }
    return {
      heap,
      central,
      caches,
      cacheRecords,
      large: { nmalloc: 0, nfree: 0, allocBytes: 0, totalBytes: 0 },
    };
  } catch (error) {
    sys.releaseAll();
    throw error;
  }
}
