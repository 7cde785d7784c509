/**
 * The public heap: Go's malloc.goc over MCache, MCentral, MHeap and the Sys verbs, on real memory.
 *
 *     malloc → MCache → MCentral → MHeap → Arena.sysAlloc → Sys → the operating system        (docs/heap.md)
 *
 * Invariants: an address that malloc returned is memory that can be read and written, zero, known to the race
 * runtime, until it is freed; a call that throws has changed nothing. A heap belongs to the thread that made it.
 */
import { type LazyShadowError, LazyShadowError as Failure, formatAddress } from '../native/errors.js';
import { ARENA_HINT, Arena, type HeapForm } from './arena.js';
import { FixAlloc } from './fixalloc.js';
import { MCache, mcacheBytes } from './mcache.js';
import { MCentral } from './mcentral.js';
import { type LargeCounts, type MemStats, memStats } from './memstats.js';
import { MHeap, MaxMHeapList } from './mheap.js';
import { MSpans } from './mspan.js';
import { MaxSmallSize, type PageShift, type SizeClasses, sizeClasses } from './msize.js';
import { nativeMemory } from './os.js';
import { type RaceHooks, race0 } from './race-hooks.js';
import { scavenge, startScavenger } from './scavenger.js';
import { type OsMemory, PLATFORMS, Sys, type SysPlatformName, thisPlatform } from './sys.js';
import { type HeapReport, verifyHeap } from './verify.js';
import { Views } from './views.js';
import { PER_STRIDE, STRIDE_BYTES, type Windows } from './windows.js';
