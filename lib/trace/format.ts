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
export const EVENT_BYTES = 32;
/** 32-bit words in an event. */
export const EVENT_WORDS = EVENT_BYTES / 4;

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
  Initialize: 1,
  Finalize: 2,
  MapShadow: 3,
  GoStart: 4,
  GoEnd: 5,
  Read: 6,
  ReadPC: 7,
  Write: 8,
  WritePC: 9,
  ReadRange: 10,
  WriteRange: 11,
  FuncEnter: 12,
  FuncExit: 13,
  Malloc: 14,
  Free: 15,
  Acquire: 16,
  Release: 17,
  ReleaseMerge: 18,
  ReleaseAcquire: 19,
  FinalizerGoroutine: 20,
  IgnoreSyncBegin: 21,
  IgnoreSyncEnd: 22,
  AtomicLoad: 23,
  AtomicStore: 24,
  AtomicExchange: 25,
  AtomicFetchAdd: 26,
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
  readonly version: number;
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
