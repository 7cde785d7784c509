/**
 * One recording, checked by several workers: each a part of its events, from one time to another, as if nothing were known of
 * the parts before (part.ts). What a part leaves open so is settled with the part before it, and what that leaves open
 * with the one before.
 *
 * Parts can say that there is no race, which is what most recordings have; where there is one, or anything else that is not
 * as it should be, one detector replays all of it, and tells.
 */
import { on } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type MemoryStats, packageRoot } from '../native/addon.js';
import { NUMBER_LIMIT } from '../race/bare.js';
import { buffersOf, type Unsettled } from '../race/unsettled.js';
import type { Layout } from '../shadow/layouts.js';
import type { Policy } from '../shadow/policies.js';
import { EVENT_WORDS, Op, WORD } from './format.js';
import type { FromPart, PartOrder, ToPart } from './part-messages.js';
import {
  BATCH_EVENTS,
  borrow,
  lend,
  type LentRecording,
  type TraceReader,
  uncheckedBatches,
} from './reader.js';

/** How the workers' shadows are mapped: what a part takes to be mapped is more than the program has. */
export const WORKERS_POLICY: Policy = 'touch';

/** The most workers: each has tables and a shadow of its own, and more processors than this were never tried. */
export const MOST_WORKERS = 64;

/**
 * How much longer the first part is than each other, which know nothing of the past and look after what is open: that
 * takes them nothing (a sort) to a quarter more of the time for an event (an HTTP server).
 */
const FIRST_EXTRA = 0.15;

/** What the parts of a recording without races say together. */
export interface PartsResult {
  /** Goroutines started. */
  readonly goroutines: number;
  /** What the parts' shadows had at the end, together. */
  readonly workersMemory: MemoryStats;
}

/**
 * Checks a recording in a plain file, of which the reader reads nothing.
 * @param layout of the workers' shadows
 * @param onProgress called now and then with the events checked so far
 * @returns undefined if one detector has to replay it: there is a race, a fault, or something that parts cannot tell
 */
export async function checkInParts(
  reader: TraceReader,
  layout: Layout,
  workers: number,
  onProgress: (events: number) => void,
): Promise<PartsResult | undefined> {
  const { eventCount } = reader.header;
  return lend(reader, async (recording) => {
    const bounds = await boundsOf(recording, eventCount, workers);
    if (bounds.slice(1).some((end, index) => end - (bounds[index] as number) > NUMBER_LIMIT))
      return undefined;
    const progress = new Float64Array(workers);
    const parts = bounds.slice(1).map((end, index) => {
      return new PartThread(
        { recording, layout, policy: WORKERS_POLICY, from: bounds[index] as number, end },
        (events) => {
          progress[index] = events;
          onProgress(progress.reduce((sum, each) => sum + each));
        },
      );
    });
    return resultOf(parts);
  });
}

/** What the parts say together, when all of them are done and settled; then they have stopped. */
async function resultOf(parts: readonly PartThread[]): Promise<PartsResult | undefined> {
  try {
    // The first that stops, stops all.
    const done = await allOrNone(parts.map((part) => part.answer('done')));
    if (done === undefined) return undefined;
    for (const [index, { unsettled }] of done.entries()) {
      let open = unsettled;
      for (let before = index - 1; open !== undefined && before >= 0; before--) {
        open = await (parts[before] as PartThread).settle(open);
        if (open === undefined) return undefined;
      }
    }
    const total = (of: (answer: AnswerOf<'done'>) => number) =>
      done.reduce((sum, answer) => sum + of(answer), 0);
    return {
      goroutines: total(({ goroutines }) => goroutines),
      workersMemory: {
        reservedBytes: total(({ memory }) => memory.reservedBytes),
        committedBytes: total(({ memory }) => memory.committedBytes),
        osCommittedBytes: total(({ memory }) => memory.osCommittedBytes),
        residentBytes: total(({ memory }) => memory.residentBytes),
      },
    };
  } finally {
    await Promise.all(parts.map((part) => part.stop()));
  }
}

/** Where parts begin, and the end of the last. */
async function boundsOf(recording: LentRecording, eventCount: number, workers: number): Promise<number[]> {
  const bounds = [0];
  for (let part = 1; part < workers; part++) {
    const near = Math.floor((eventCount * (part + FIRST_EXTRA)) / (workers + FIRST_EXTRA));
    bounds.push(await quietEvent(recording, near, eventCount));
  }
  return [...bounds, eventCount];
}

/**
 * The first event from number `near` on that no goroutine ignores synchronisation at, so that no part begins between an
 * IgnoreSyncBegin that it does not know of and its end; `near` if there is none soon.
 */
async function quietEvent(recording: LentRecording, near: number, eventCount: number): Promise<number> {
  const reader = await borrow(recording);
  try {
    const range = { from: near, end: Math.min(eventCount, near + BATCH_EVENTS) };
    for await (const { words, count } of uncheckedBatches(reader, range))
      return near + firstQuiet(words, count);
    return near;
  } finally {
    await reader.close();
  }
}

/** The index of the first of `count` events at which nobody ignores synchronisation; 0 if somebody always does. */
export function firstQuiet(words: Int32Array, count: number): number {
  const steps = Array.from({ length: count }, (_, event) => {
    const op = (words[event * EVENT_WORDS + WORD.head] as number) & 0xff;
    return op === Op.IgnoreSyncBegin ? 1 : op === Op.IgnoreSyncEnd ? -1 : 0;
  });
  // What ends here without a beginning began before.
  const depths = new Map<number, number>();
  let open = 0;
  for (const [event, step] of steps.entries()) {
    if (step === 0) continue;
    const goroutine = words[event * EVENT_WORDS + WORD.goroutine] as number;
    const depth = (depths.get(goroutine) ?? 0) + step;
    if (depth < 0) open++;
    depths.set(goroutine, Math.max(0, depth));
  }
  for (const [event, step] of steps.entries()) {
    if (open === 0) return event;
    open += step;
  }
  return 0;
}

type AnswerOf<K extends FromPart['kind']> = Extract<FromPart, { kind: K }>;

/** A worker, and what it answers. */
class PartThread {
  readonly #worker: Worker;
  readonly #answers: AsyncIterator<[FromPart]>;
  readonly #onProgress: (events: number) => void;

  constructor(order: PartOrder, onProgress: (events: number) => void) {
    // The same file for both forms of the package: what goes to and fro are plain values.
    const file = join(packageRoot(), 'dist', 'esm', 'trace', 'part-worker.js');
    this.#worker = new Worker(file, { workerData: order, execArgv: [] });
    this.#answers = on(this.#worker, 'message', { close: ['exit'] }) as AsyncIterator<[FromPart]>;
    this.#onProgress = onProgress;
  }

  /** Its next answer that is no progress; undefined if it has stopped, for whatever reason. */
  async answer<K extends 'done' | 'settled'>(kind: K): Promise<AnswerOf<K> | undefined> {
    for (;;) {
      const next = await this.#answers.next().catch(() => undefined);
      if (next === undefined || next.done === true) return undefined;
      const [message] = next.value;
      if (message.kind === 'progress') this.#onProgress(message.events);
      else return message.kind === kind ? (message as AnswerOf<K>) : undefined;
    }
  }

  async settle(open: Unsettled): Promise<Unsettled | undefined> {
    this.#worker.postMessage(open satisfies ToPart, buffersOf(open));
    return (await this.answer('settled'))?.unsettled;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** All answers, or undefined as soon as one is. */
async function allOrNone<T>(answers: readonly Promise<T | undefined>[]): Promise<T[] | undefined> {
  const missing = answers.map(async (answer) => {
    if ((await answer) !== undefined) await new Promise(() => undefined);
  });
  const all = Promise.all(answers).then((found) => found.filter((answer) => answer !== undefined));
  const first = await Promise.race([all, ...missing]);
  return first === undefined || first.length < answers.length ? undefined : first;
}
