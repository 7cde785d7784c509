/**
 * The program that reads, inspects and replays damaged recordings, in a process of its own so that a crash is seen:
 *
 *     node damage-main.mjs SEED FILES
 *
 * Whatever the damage, each comes to an end: a result, or an error that says what is wrong with the file, or that the
 * program that it tells of needs more memory than there is. Prints a DamageResult as JSON.
 */
import fc from 'fast-check';
import { LazyShadowError } from '../../../lib/native/errors.js';
import { POLICIES } from '../../../lib/shadow/policies.js';
import { Shadow } from '../../../lib/shadow/shadow.js';
import { inspectTrace } from '../../../lib/trace/inspect.js';
import { TraceReader } from '../../../lib/trace/reader.js';
import { replayTrace } from '../../../lib/trace/replay.js';
import { type Damage, damage, damaged } from './damage.js';
import { recordingsToDamage } from './recordings.js';

export interface DamageResult {
  readonly files: number;
  /** How many were refused, by reading or by replaying. */
  readonly refused: number;
  /** The damage, shrunk, that something else came of, and what; undefined if nothing did. */
  readonly failure: string | undefined;
}

const MAY_BE: readonly string[] = ['ERR_BAD_TRACE', 'ERR_OUT_OF_MEMORY'];

let files = 0;
let refused = 0;

/** Whether it was refused; throws what is no refusal. */
async function isRefused(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return false;
  } catch (error) {
    if (error instanceof LazyShadowError && MAY_BE.includes(error.code)) return true;
    throw error;
  }
}

async function withReader(bytes: Uint8Array, use: (reader: TraceReader) => Promise<unknown>): Promise<void> {
  const reader = await TraceReader.open(bytes);
  try {
    await use(reader);
  } finally {
    await reader.close();
  }
}

async function replay(reader: TraceReader, policy: (typeof POLICIES)[number]): Promise<void> {
  const shadow = new Shadow({ policy });
  try {
    if (await isRefused(() => replayTrace(reader, shadow))) refused++;
    const { committedBytes, osCommittedBytes } = shadow.stats();
    const isCounted = policy === 'lazy' || policy === 'touch';
    if (isCounted && committedBytes !== osCommittedBytes)
      throw new Error(`the system counts ${osCommittedBytes}`);
  } finally {
    shadow.release();
  }
}

async function main([seed = 1, count = 1000]: number[]): Promise<DamageResult> {
  const recordings = await recordingsToDamage();
  const property = fc.asyncProperty(damage, fc.constantFrom(...POLICIES), async (done: Damage, policy) => {
    const bytes = damaged(recordings, done);
    files++;
    if (await isRefused(() => withReader(bytes, inspectTrace))) refused++;
    await isRefused(() => withReader(bytes, (reader) => replay(reader, policy)));
  });
  const { failed, counterexample, errorInstance } = await fc.check(property, { seed, numRuns: count });
  const what = errorInstance instanceof Error ? errorInstance.stack : String(errorInstance);
  return { files, refused, failure: failed ? `${JSON.stringify(counterexample)}\n${what}` : undefined };
}

console.log(JSON.stringify(await main(process.argv.slice(2).map(Number))));
