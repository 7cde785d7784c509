/**
 * Short ways to make and to read recordings in tests.
 */
import { LazyShadowError } from '../../lib/native/errors.js';
import { Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import type { TraceInput } from '../../lib/trace/source.js';
import type { SymbolTable } from '../../lib/trace/symbols.js';
import { TraceWriter } from '../../lib/trace/writer.js';

/** A writer whose program has begun: event 0 is the Initialize of goroutine 1. */
export function begun(): TraceWriter {
  return new TraceWriter().event(Op.Initialize, { goroutine: 1 });
}

/** Everything in a recording: the events' words one after the other, and the symbols. */
export async function readAll(
  source: TraceInput,
): Promise<{ words: Int32Array; symbols: SymbolTable; batches: number }> {
  const reader = await TraceReader.open(source);
  try {
    const words = new Int32Array(8 * reader.header.eventCount);
    let batches = 0;
    for await (const batch of reader.batches()) {
      words.set(batch.words, 8 * batch.firstEvent);
      batches++;
    }
    return { words, symbols: await reader.symbols(), batches };
  } finally {
    await reader.close();
  }
}

/** The error that reading a recording to its end gives. Fails if there is none, or another than LazyShadowError. */
export async function errorOf(source: TraceInput): Promise<LazyShadowError> {
  try {
    await readAll(source);
  } catch (error) {
    if (error instanceof LazyShadowError) return error;
    throw error;
  }
  throw new Error('the recording was read without an error');
}
