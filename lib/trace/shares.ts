/**
 * One recording, checked by several workers over the same shadow: each a share of the addresses (share.ts), all of the
 * synchronisation. This thread reads and checks the recording ahead of them, and puts together what they find.
 *
 * The result is that of one detector, in one order, with one exception: a share's history holds the accesses of that
 * share alone, and reaches further back, so that a report may know a stack that one detector has forgotten.
 */
import { on } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../native/addon.js';
import { LazyShadowError } from '../native/errors.js';
import { byteMask } from '../race/cell.js';
import type { GoraceOptions } from '../race/gorace.js';
import type { RaceReport, ReportedAccess } from '../race/report.js';
import { EMPTY_STACK, Stacks } from '../race/stack.js';
import { GoSuppression } from '../race/suppression.js';
import { GRANULE_BYTES } from '../shadow/segment.js';
import type { Shadow } from '../shadow/shadow.js';
import { EVENT_WORDS } from './format.js';
import { BATCH_EVENTS, type TraceReader } from './reader.js';
import type { FromShare, ShareOrder, ToShare } from './share-messages.js';

/** The most workers: each keeps all clocks, and this many would wait for the one thread that reads. */
export const MOST_WORKERS = 64;

/** Batches on their way: a worker that met the busier half of some waits for the other only after as many. 16 MiB. */
const PLACES = 8;

/** What the shares found together. */
export interface SharesResult {
  /** Goroutines started. */
  readonly goroutines: number;
  /** Ascending. */
  readonly racyAddresses: readonly number[];
  /** From the first batch to the last answer. */
  readonly elapsedMs: number;
}

export interface SharesOptions {
  readonly workers: number;
  readonly gorace: GoraceOptions;
  /** Called with each report, in the order of one detector. */
  readonly onReport: (report: RaceReport) => void;
  /** Called with the events that every share is done with. */
  readonly onProgress: (events: number) => void;
}

/**
 * Replays all events of a reader. The shadow must be claimed, and fresh.
 * @throws LazyShadowError as replayTrace
 */
export async function replayInShares(
  reader: TraceReader,
  shadow: Shadow,
  options: SharesOptions,
): Promise<SharesResult> {
  const wordsPerPlace = Math.min(reader.header.eventCount, BATCH_EVENTS) * EVENT_WORDS;
  const ring = new SharedArrayBuffer(PLACES * wordsPerPlace * Int32Array.BYTES_PER_ELEMENT);
  const places = new Int32Array(ring);
  const workers = Array.from({ length: options.workers }, (_, index) => {
    const { workers: count, gorace } = options;
    const shadowId = shadow.id;
    return new ShareThread({ name: reader.name, shadowId, index, count, gorace, ring, wordsPerPlace });
  });
  const told = new Told(options);
  const start = process.hrtime.bigint();
  try {
    /** The ends of the batches that are on their way, oldest first. */
    const ends: number[] = [];
    const settle = async (end: number) => {
      told.add(await answersOf(workers, 'batch'));
      options.onProgress(end);
    };
    let place = 0;
    /** The next batch's place, which the workers must be done with. */
    const room = async () => {
      if (ends.length === PLACES) await settle(ends.shift() as number);
      return places.subarray(place * wordsPerPlace, (place + 1) * wordsPerPlace);
    };
    try {
      for await (const { firstEvent, count } of reader.batches(room)) {
        for (const worker of workers) worker.send({ kind: 'batch', place, firstEvent, count });
        ends.push(firstEvent + count);
        place = (place + 1) % PLACES;
      }
    } finally {
      // Also when the rest cannot be read: what was found before is told, as by one detector.
      for (const end of ends) await settle(end);
    }
    for (const worker of workers) worker.send({ kind: 'end' });
    const results = await answersOf(workers, 'end');
    const elapsedMs = Number(process.hrtime.bigint() - start) / 1e6;
    const racyAddresses = ascending(results.map((result) => result.racyAddresses));
    return { goroutines: results[0]?.goroutines ?? 0, racyAddresses, elapsedMs };
  } finally {
    // None may have a hand in the shadow when its owner gets it back.
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

/** A worker, and what it answers. */
class ShareThread {
  readonly #worker: Worker;
  readonly #answers: AsyncIterator<[FromShare]>;

  constructor(order: ShareOrder) {
    // The same file for both forms of the package: what goes to and fro are plain values.
    const file = join(packageRoot(), 'dist', 'esm', 'trace', 'share-worker.js');
    this.#worker = new Worker(file, { workerData: order, execArgv: [] });
    this.#answers = on(this.#worker, 'message', { close: ['exit'] }) as AsyncIterator<[FromShare]>;
  }

  send(message: ToShare): void {
    this.#worker.postMessage(message);
  }

  /** Its next answer. */
  async answer(): Promise<FromShare> {
    const next = await this.#answers.next();
    if (next.done !== true) return next.value[0];
    throw new LazyShadowError('ERR_CORRUPT', 'a worker ended before its share was done. Please report it.', {
      verb: 'replayTrace',
    });
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

type AnswerOf<K extends FromShare['kind']> = Extract<FromShare, { kind: K }>;

/**
 * The next answer of every worker.
 * @throws the earliest failure among them
 */
async function answersOf<K extends FromShare['kind']>(
  workers: readonly ShareThread[],
  kind: K,
): Promise<AnswerOf<K>[]> {
  const answers = await Promise.all(workers.map((worker) => worker.answer()));
  const failures = answers.filter((answer) => answer.kind === 'failed');
  const first = failures.sort((a, b) => a.event - b.event)[0];
  if (first !== undefined) throw new LazyShadowError(first.code, first.message, first.details);
  return answers.filter((answer): answer is AnswerOf<K> => answer.kind === kind);
}

/** Go's rule applied to what all shares let through. */
class Told {
  readonly #suppression: GoSuppression;
  readonly #stacks = new Stacks((mark) => this.#suppression.markStacks(mark));
  readonly #onReport: (report: RaceReport) => void;

  constructor({ gorace, onReport }: SharesOptions) {
    this.#suppression = new GoSuppression(gorace);
    this.#onReport = onReport;
  }

  /** What the shares found in one batch. */
  add(answers: readonly AnswerOf<'batch'>[]): void {
    const found = answers.flatMap((answer) => answer.found);
    // A range finds its races in the order of addresses; what one event found in one granule is one share's, in order.
    found.sort((a, b) => a.event - b.event || granuleOf(a.report) - granuleOf(b.report));
    for (const { report } of found) if (this.#tells(report)) this.#onReport(report);
  }

  #tells(report: RaceReport): boolean {
    const { current, previous } = report;
    const granule = granuleOf(report);
    const touched = bytesOf(current) | bytesOf(previous);
    if (this.#suppression.hidesAddress(granule, touched)) return false;
    return this.#suppression.tells(granule, touched, this.#stackOf(current), this.#stackOf(previous));
  }

  #stackOf({ stack }: ReportedAccess): number {
    return (stack ?? []).reduceRight(
      (below, pc) => this.#stacks.push(below, pc | 0, Math.floor(pc / 2 ** 32)),
      EMPTY_STACK,
    );
  }
}

/** Addresses of all shares, none of which are in two. */
function ascending(shares: readonly Float64Array[]): number[] {
  const all = new Float64Array(shares.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const share of shares) {
    all.set(share, at);
    at += share.length;
  }
  return [...all.sort()];
}

function granuleOf({ address }: RaceReport): number {
  return address - (address % GRANULE_BYTES);
}

/** The bytes of its granule that an access touched, first to last. */
function bytesOf({ address, sizeBytes }: ReportedAccess): number {
  return byteMask(address % GRANULE_BYTES, sizeBytes);
}
