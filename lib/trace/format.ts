/**
 * racetrace v1, the layout of a recording: the calls that a real Go program made into its race runtime, in one
 * total order. Everything is little-endian, and so is every machine that lazyshadow runs on.
 *
 *     offset 0            64                          symbolOffset = 64 + 32 × eventCount
 *     ┌──────────────────┬──────────┬──────────┬─────┬──────────────────────────────────────────┐
 *     │ header, 64 bytes │ event 0  │ event 1  │  …  │ symbol text: pcCount lines (may be none) │
 *     └──────────────────┴──────────┴──────────┴─────┴──────────────────────────────────────────┘
 *
 *     header   0 magic "RACETRC1"   8 version   16 eventCount   24 symbolOffset   32 pcCount   40 zero, reserved
 *              (8 bytes each; the last 24)
 *
 *     event    word 0                     1          2      3       4      5       6     7
 *              ┌──────┬───────┬──────────┬──────────┬──────┬───────┬──────┬───────┬─────┬──────┐
 *              │ op 8 │flags 8│ size 16  │goroutine │ addr │addr hi│ arg  │arg hi │ pc  │pc hi │
 *              └──────┴───────┴──────────┴──────────┴──────┴───────┴──────┴───────┴─────┴──────┘
 *
 *     symbols  pc in hex, then for each frame, innermost first: function, file, line, offset; tabs between, \n after
 *
 * Invariant: addresses, sizes and pcs are below 2^48, so a number holds each exactly: `hi * 2 ** 32 + (lo >>> 0)`.
 */

export const MAGIC = 'RACETRC1';
export const VERSION = 1;
/** What stands in the magic's place until the recorder has finished a recording (native/recorder/part.h). */
export const UNFINISHED_MAGIC = 'RACEPART';

export const HEADER_BYTES = 64;
/** log2 of the 32-bit words in an event. */
export const EVENT_SHIFT = 3;
/** 32-bit words in an event. */
export const EVENT_WORDS = 1 << EVENT_SHIFT;
export const EVENT_BYTES = 4 * EVENT_WORDS;

/** Byte offsets of the header's fields. */
export const HEADER = { magic: 0, version: 8, eventCount: 16, symbolOffset: 24, pcCount: 32 } as const;

/** Where each field of an event is, in 32-bit words from the event's first. `head` is op, flags and size. */
export const WORD = {
  head: 0,
  goroutine: 1,
  addrLow: 2,
  addrHigh: 3,
  argLow: 4,
  argHigh: 5,
  pcLow: 6,
  pcHigh: 7,
} as const;

/** First value that an address, a size or a pc cannot have. */
export const ADDRESS_LIMIT = 2 ** 48;

/** The calls, by their numbers in a recording. */
export const Op = {
  /** The program begins. */
  Initialize: 1,
  /** The program ends. */
  Finalize: 2,
  /** Memory of `addr` and `arg` bytes is in use. */
  MapShadow: 3,
  /** `goroutine` starts the goroutine `arg`. */
  GoStart: 4,
  /** `goroutine` ends. */
  GoEnd: 5,
  /** A read of one byte. */
  Read: 6,
  /** The same, called from `arg`. */
  ReadPC: 7,
  /** A write of one byte. */
  Write: 8,
  /** The same, called from `arg`. */
  WritePC: 9,
  /** A read of `arg` bytes. */
  ReadRange: 10,
  /** A write of `arg` bytes. */
  WriteRange: 11,
  /** A function was called from `pc`. */
  FuncEnter: 12,
  /** The innermost function returned. */
  FuncExit: 13,
  /** A block of `arg` bytes was allocated. */
  Malloc: 14,
  /** A block of `arg` bytes was freed. */
  Free: 15,
  /** What was released at `addr` is known from now on. */
  Acquire: 16,
  /** Whoever acquires `addr` knows what was done so far. */
  Release: 17,
  /** The same, besides what was released there before. */
  ReleaseMerge: 18,
  /** Both at once. */
  ReleaseAcquire: 19,
  /** `goroutine` runs finalizers. */
  FinalizerGoroutine: 20,
  /** Synchronisation means nothing … */
  IgnoreSyncBegin: 21,
  /** … up to here. */
  IgnoreSyncEnd: 22,
  /** An atomic read of `size` bytes, called from `arg`. */
  AtomicLoad: 23,
  /** An atomic write. */
  AtomicStore: 24,
  /** An atomic read and write. */
  AtomicExchange: 25,
  /** An atomic addition. */
  AtomicFetchAdd: 26,
  /** A compare-and-swap; the flags say whether it succeeded. */
  AtomicCompareAndSwap: 27,
} as const;

/** The name of a call. */
export type OpName = keyof typeof Op;
/** The number of a call. */
export type Op = (typeof Op)[OpName];

/** The last op: they run from 1 to this without a hole. */
export const LAST_OP: Op = Op.AtomicCompareAndSwap;

/** Flag of op 27: the compare-and-swap succeeded. */
export const FLAG_SUCCEEDED = 1;

const NAMES = new Map<number, OpName>(Object.entries(Op).map(([name, op]) => [op, name as OpName]));

/** The name of an op, for messages and tables; `op 99` for a number that is none. */
export function opName(op: number): string {
  return NAMES.get(op) ?? `op ${op}`;
}

/** What the header says. Counts are exact: a reader refuses those past 2^53. */
export interface TraceHeader {
  /** Of the format: 1. */
  readonly version: number;
  /** How many events follow the header. */
  readonly eventCount: number;
  /** Byte offset of the symbol text: always 64 + 32 × eventCount. */
  readonly symbolOffset: number;
  /** Lines of symbol text; 0 when the recording has none. */
  readonly pcCount: number;
}

/** The byte offset of an event in the (unpacked) recording. */
export function eventOffset(event: number): number {
  return HEADER_BYTES + EVENT_BYTES * event;
}
