/**
 * A recording as a workload: its MapShadow calls map, its accesses write cells, its allocations clear.
 */

import type { Readable } from 'node:stream';
import { EVENT_WORDS, Op, WORD } from '../trace/format.js';
import { TraceReader } from '../trace/reader.js';
import type { Subject, Workload } from './workload.js';

/** Events between two steps: some hundred steps in a small recording, and little next to a sample in a large one. */
const EVENTS_A_STEP = 256;

const HIGH = 2 ** 32;

export class TraceWorkload implements Workload {
  readonly #source: string | Readable;

  /** @param source a path, or a stream of the recording's bytes */
  constructor(source: string | Readable) {
    this.#source = source;
  }

  async *run(subject: Subject): AsyncGenerator<number> {
    const reader = await TraceReader.open(this.#source);
    try {
      for await (const { words, firstEvent, count } of reader.batches()) {
        for (let begin = 0; begin < count; begin += EVENTS_A_STEP) {
          const end = Math.min(count, begin + EVENTS_A_STEP);
          for (let event = begin; event < end; event++) apply(words, event * EVENT_WORDS, subject);
          yield (firstEvent + end) / reader.header.eventCount;
        }
      }
      // The symbol text is not needed, but a recording that ends in the middle of it is damaged.
      await reader.symbols();
    } finally {
      await reader.close();
    }
  }
}

/** A 48-bit field from its two words. */
function field(words: Int32Array, low: number, high: number): number {
  return ((words[high] ?? 0) >>> 0) * HIGH + ((words[low] ?? 0) >>> 0);
}

/** Acts out the event whose first word is `at`; lib/trace/format.ts draws the words. */
function apply(words: Int32Array, at: number, { shadow, cells }: Subject): void {
  const head = words[at + WORD.head] ?? 0;
  const address = field(words, at + WORD.addrLow, at + WORD.addrHigh);
  const argument = field(words, at + WORD.argLow, at + WORD.argHigh);
  switch (head & 0xff) {
    case Op.MapShadow:
      if (argument > 0) shadow.mapShadow(address, argument);
      break;
    case Op.Malloc:
      cells.malloc(address, argument);
      break;
    case Op.ReadRange:
    case Op.WriteRange:
      cells.access(address, argument);
      break;
    case Op.Read:
    case Op.ReadPC:
    case Op.Write:
    case Op.WritePC:
    case Op.AtomicLoad:
    case Op.AtomicStore:
    case Op.AtomicExchange:
    case Op.AtomicFetchAdd:
    case Op.AtomicCompareAndSwap:
      cells.access(address, head >>> 16);
      break;
  }
}
