/**
 * What a recording holds, counted in one pass: its calls, goroutines, mapped ranges, the memory that it touched, the
 * heap's blocks and the functions that most events come from.
 *
 * Invariant: the memory it takes does not grow with the events (see lib/trace/touched.ts), and the recording is read, and
 * so checked, to its end.
 */
import { EVENT_WORDS, LAST_OP, Op, type OpName, opName, WORD } from './format.js';
import type { EventBatch, TraceReader } from './reader.js';
import type { SymbolTable } from './symbols.js';
import { TouchedMemory } from './touched.js';

/** A call and how often it was made. */
export interface CallCount {
  /** By its name in {@link Op}. */
  readonly call: OpName;
  /** How often. */
  readonly count: number;
}

/** A range of application memory. */
export interface MappedRange {
  /** First address. */
  readonly address: number;
  /** Length. */
  readonly sizeBytes: number;
}

/** A function and how many events have a pc in it. */
export interface FunctionCount {
  /** As Go names it. */
  readonly function: string;
  /** Where it is defined. */
  readonly file: string;
  /** How many. */
  readonly events: number;
}

/** What {@link inspectTrace} found. Sizes are in bytes. */
export interface TraceSummary {
  /** The recording's name, as the reader has it. */
  readonly trace: string;
  /** Of the format. */
  readonly version: number;
  /** How many it has. */
  readonly events: number;
  /** Pcs that have symbols. */
  readonly pcs: number;
  /** Every call that was made, the most frequent first. */
  readonly calls: readonly CallCount[];
  /** How many ran. */
  readonly goroutines: {
    /** The first one included. */
    readonly started: number;
    /** Those whose end was recorded. */
    readonly ended: number;
    /** The most that ran at one time. */
    readonly mostAlive: number;
  };
  /** The MapShadow calls, in order; those beyond the first 4096 are only counted, in `calls`. */
  readonly mapped: readonly MappedRange[];
  /** What all MapShadow calls map together. */
  readonly mappedBytes: number;
  /** What was accessed. */
  readonly touched: {
    /** Distinct granules of 8 bytes that an access reached, times 8. */
    readonly sizeBytes: number;
    /** Distinct pages of 4 KiB that an access reached. */
    readonly pages: number;
    /** False if the recording touches more than is counted, and the two are what it touches at least. */
    readonly complete: boolean;
  };
  /** What was allocated and freed. */
  readonly heap: {
    /** Blocks allocated. */
    readonly mallocs: number;
    /** Their bytes. */
    readonly mallocBytes: number;
    /** Blocks freed. */
    readonly frees: number;
    /** Their bytes. */
    readonly freeBytes: number;
  };
  /** The functions with most events, by the innermost frame of each event's pc; none without symbols. */
  readonly topFunctions: readonly FunctionCount[];
}

/** Ranges that a summary lists: a program of Go's maps some tens. */
export const MAX_MAPPED = 4096;
const TOP_FUNCTIONS = 10;
/** Pcs whose events are counted; programs have some thousands. */
const MAX_PCS = 2 ** 20;

/**
 * Reads the whole recording and says what it holds. The reader is left open.
 * @throws LazyShadowError ERR_BAD_TRACE: whatever is wrong with it, events and symbols; ERR_INVALID_USE: its batches
 * were read already
 */
export async function inspectTrace(reader: TraceReader): Promise<TraceSummary> {
  const counter = new EventCounter(reader.header.pcCount);
  for await (const batch of reader.batches()) counter.count(batch);
  return counter.summary(reader, await reader.symbols());
}

class EventCounter {
  readonly #calls = new Float64Array(256);
  readonly #touched = new TouchedMemory();
  readonly #mapped: MappedRange[] = [];
  readonly #eventsAt = new Map<number, number>();
  readonly #maxPcs: number;
  #mappedBytes = 0;
  #alive = 0;
  #mostAlive = 0;
  #mallocBytes = 0;
  #freeBytes = 0;

  /** @param pcCount the pcs that have symbols: without any, there is nobody to name */
  constructor(pcCount: number) {
    this.#maxPcs = Math.min(pcCount, MAX_PCS);
  }

  count({ words, count }: EventBatch): void {
    for (let at = 0; at < count * EVENT_WORDS; at += EVENT_WORDS) {
      const head = words[at] as number;
      const op = head & 0xff;
      this.#calls[op] = (this.#calls[op] as number) + 1;
      const pc = value(words, at + WORD.pcLow);
      if (pc !== 0) this.#countPc(pc);
      const addr = value(words, at + WORD.addrLow);
      // Reads, writes and atomics have a size; no other call has.
      if (head >>> 16 !== 0) this.#touched.touch(addr, head >>> 16);
      else this.#countOther(op, addr, value(words, at + WORD.argLow));
    }
  }

  summary(reader: TraceReader, symbols: SymbolTable): TraceSummary {
    const called = (op: Op) => this.#calls[op] as number;
    const calls: CallCount[] = [];
    for (let op = 1; op <= LAST_OP; op++) {
      const count = this.#calls[op] as number;
      if (count > 0) calls.push({ call: opName(op) as OpName, count });
    }
    return {
      trace: reader.name,
      version: reader.header.version,
      events: reader.header.eventCount,
      pcs: reader.header.pcCount,
      calls: calls.sort((a, b) => b.count - a.count),
      goroutines: {
        started: called(Op.Initialize) + called(Op.GoStart),
        ended: called(Op.GoEnd),
        mostAlive: this.#mostAlive,
      },
      mapped: this.#mapped,
      mappedBytes: this.#mappedBytes,
      touched: {
        sizeBytes: this.#touched.sizeBytes(),
        pages: this.#touched.pageCount(),
        complete: this.#touched.complete,
      },
      heap: {
        mallocs: called(Op.Malloc),
        mallocBytes: this.#mallocBytes,
        frees: called(Op.Free),
        freeBytes: this.#freeBytes,
      },
      topFunctions: this.#topFunctions(symbols),
    };
  }

  #countOther(op: number, addr: number, arg: number): void {
    switch (op) {
      case Op.ReadRange:
      case Op.WriteRange:
        this.#touched.touch(addr, arg);
        break;
      case Op.MapShadow:
        this.#mappedBytes += arg;
        if (this.#mapped.length < MAX_MAPPED) this.#mapped.push({ address: addr, sizeBytes: arg });
        break;
      case Op.Initialize:
      case Op.GoStart:
        this.#alive++;
        this.#mostAlive = Math.max(this.#mostAlive, this.#alive);
        break;
      case Op.GoEnd:
        this.#alive--;
        break;
      case Op.Malloc:
        this.#mallocBytes += arg;
        break;
      case Op.Free:
        this.#freeBytes += arg;
        break;
    }
  }

  #countPc(pc: number): void {
    const events = this.#eventsAt.get(pc);
    // A recording has no more pcs than it has symbols for, so what is beyond could not be named.
    if (events === undefined && this.#eventsAt.size >= this.#maxPcs) return;
    this.#eventsAt.set(pc, (events ?? 0) + 1);
  }

  #topFunctions(symbols: SymbolTable): FunctionCount[] {
    const totals = new Map<string, { function: string; file: string; events: number }>();
    for (const [pc, events] of this.#eventsAt) {
      const frame = symbols.frames(pc)[0];
      if (frame === undefined) continue;
      const total = totals.get(frame.function);
      if (total === undefined)
        totals.set(frame.function, { function: frame.function, file: frame.file, events });
      else total.events += events;
    }
    return [...totals.values()].sort((a, b) => b.events - a.events).slice(0, TOP_FUNCTIONS);
  }
}

/** The 64-bit value whose low word is at `low`; a checked event's is below 2^48. */
function value(words: Int32Array, low: number): number {
  return (words[low + 1] as number) * 2 ** 32 + ((words[low] as number) >>> 0);
}
