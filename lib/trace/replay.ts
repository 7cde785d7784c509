/**
 * Replays a recording through the detector: what the race runtime would have found in the program that made it.
 *
 *     const shadow = new Shadow({ policy: 'touch' });
 *     const reader = await TraceReader.open('program.trc');
 *     const { racyAddresses, reports } = await replayTrace(reader, shadow);
 *
 * Events stream through in batches; what grows with the recording is only what the program itself used: shadow,
 * goroutines, sync objects, and the races found.
 */
import type { MemoryStats } from '../native/addon.js';
import { wholeNumber } from '../native/arguments.js';
import { LazyShadowError } from '../native/errors.js';
import { printable } from '../native/printable.js';
import { Detector } from '../race/detector.js';
import { DEFAULT_GORACE, type GoraceOptions, historyEntries } from '../race/gorace.js';
import { RaceLog } from '../race/race-log.js';
import type { RaceReport } from '../race/report.js';
import { claimWindows, type Shadow } from '../shadow/shadow.js';
import { badTrace } from './errors.js';
import { checkInParts, MOST_WORKERS } from './parts.js';
import { isLendable, type TraceReader, type UncheckedBatch, uncheckedBatches, wrongEvent } from './reader.js';
import { createReplayer, noteDepth, type Replayer } from './replay-events.js';
import type { SymbolTable } from './symbols.js';

/** How a recording is replayed. */
export interface ReplayOptions {
  /** As the variable GORACE. Default: as Go. */
  readonly gorace?: GoraceOptions;
  /**
   * Threads that check the recording, which must be a plain file, each a part of its events with a shadow of its own under
   * `touch`: from 1, the default, which is this thread alone, to 64. All they find out is that there is no race, and the shadow
   * that was given stays empty then; a recording with a race is replayed by this thread after all.
   */
  readonly workers?: number;
  /** Called with each report as it is found. */
  readonly onReport?: (report: RaceReport) => void;
  /** Called now and then with the events replayed so far. */
  readonly onProgress?: (events: number) => void;
}

/** What was found. */
export interface ReplayResult {
  /** The recording's name. */
  readonly name: string;
  /** Events replayed: all of them, unless halt_on_error stopped before. */
  readonly events: number;
  /** Goroutines started. */
  readonly goroutines: number;
  /** The races, in the order in which they were found. */
  readonly reports: readonly RaceReport[];
  /** Every byte on which two unordered conflicting accesses overlap, before any suppression; ascending. */
  readonly racyAddresses: readonly number[];
  /** Time that the events took: without reading them, or with several workers from the first to the last. */
  readonly elapsedMs: number;
  /** What the shadows of several workers had at the end, together; none if one thread found it out, in the shadow that was given. */
  readonly workersMemory?: MemoryStats;
  /** What the recording knows of its pcs. */
  readonly symbols: SymbolTable;
}

/** What halt_on_error ends a replay with. */
const HALT = new Error('halt_on_error');

/**
 * Replays all events of a reader that nobody has read from. The shadow must be fresh; both stay the caller's.
 * @throws LazyShadowError ERR_BAD_TRACE, naming the recording and the event; ERR_OUT_OF_MEMORY; ERR_INVALID_ARGUMENT
 */
export async function replayTrace(
  reader: TraceReader,
  shadow: Shadow,
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  const workers = checkedWorkers(reader, options.workers);
  const windows = claimWindows('replayTrace', shadow);
  if (workers > 1) {
    const clean = await checkByWorkers(reader, shadow, workers, options);
    if (clean !== undefined) return { ...clean, symbols: await reader.symbols() };
  }
  const gorace = options.gorace ?? DEFAULT_GORACE;
  const reports: RaceReport[] = [];
  const log = new RaceLog({
    gorace,
    ranges: shadow.layout.application,
    goNumbers: true,
    onReport: (report) => {
      reports.push(report);
      options.onReport?.(report);
      if (gorace.haltOnError) throw HALT;
    },
  });
  const detector: Detector = Detector.take({
    shadow: windows,
    historyEntries: historyEntries(gorace.historySize),
    onSighting: (sighting) => log.add(detector, sighting),
    markStacks: (mark) => log.markStacks(mark),
  });
  const replayer = replayerOf(detector);

  let events = 0;
  let elapsed = 0n;
  let halted = false;
  try {
    for await (const batch of uncheckedBatches(reader)) {
      const { firstEvent, words, count, validator } = batch;
      // After a halt the rest is read on, since the symbols are at the end.
      if (halted) {
        checkRest(reader, batch, 0);
        continue;
      }
      const start = process.hrtime.bigint();
      let done = count;
      try {
        replayer.replay(validator, words, count);
        done = replayer.done();
      } catch (error) {
        if (error !== HALT) throw located(error, reader.name, firstEvent + replayer.done());
        halted = true;
        done = replayer.done() + 1;
        for (const goroutine of detector.goroutines.running()) noteDepth(detector, validator, goroutine);
        checkRest(reader, batch, done);
      }
      if (!halted && done < count) throw wrongEvent(reader, batch, done);
      elapsed += process.hrtime.bigint() - start;
      events = firstEvent + done;
      options.onProgress?.(events);
    }
    return {
      name: reader.name,
      events,
      goroutines: detector.goroutines.startedCount,
      reports,
      racyAddresses: log.bytes.addresses(),
      elapsedMs: Number(elapsed) / 1e6,
      symbols: await reader.symbols(),
    };
  } finally {
    Detector.giveBack(detector);
  }
}

/** @throws LazyShadowError ERR_INVALID_ARGUMENT: no number of workers, or more than one for what only one can read */
function checkedWorkers(reader: TraceReader, workers = 1): number {
  if (wholeNumber('replayTrace', 'workers', workers) < 1 || workers > MOST_WORKERS) {
    throw invalidWorkers(`workers must be from 1 to ${MOST_WORKERS}, not ${workers}.`);
  }
  if (workers > 1 && !isLendable(reader)) {
    throw invalidWorkers(
      `${printable(reader.name)} is not a plain file, which several workers could read at once. Unpack it into one, or ask for one worker.`,
    );
  }
  return workers;
}

/** The result of several workers; undefined if they leave it to one detector. */
async function checkByWorkers(
  reader: TraceReader,
  shadow: Shadow,
  workers: number,
  { onProgress }: ReplayOptions,
): Promise<Omit<ReplayResult, 'symbols'> | undefined> {
  const { eventCount: events } = reader.header;
  const start = process.hrtime.bigint();
  const found = await checkInParts(reader, shadow.layout, workers, (done) => onProgress?.(done));
  if (found === undefined) return undefined;
  const elapsedMs = Number(process.hrtime.bigint() - start) / 1e6;
  return { name: reader.name, events, ...found, reports: [], racyAddresses: [], elapsedMs };
}

function invalidWorkers(problem: string): LazyShadowError {
  return new LazyShadowError('ERR_INVALID_ARGUMENT', `replayTrace: ${problem}`, { verb: 'replayTrace' });
}

/** The loops over events that were made for detectors: each for one, whose tables are built into it. */
const replayers = new WeakMap<Detector, Replayer>();

function replayerOf(detector: Detector): Replayer {
  const known = replayers.get(detector);
  if (known !== undefined) return known;
  const made = createReplayer(detector);
  replayers.set(detector, made);
  return made;
}

/** Checks the events that are not replayed. */
function checkRest(reader: TraceReader, batch: UncheckedBatch, from: number): void {
  const wrong = batch.validator.check(batch.words, from, batch.count);
  if (wrong >= 0) throw wrongEvent(reader, batch, wrong);
}

/** An error of the detector as one that says at which event of which recording. */
function located(error: unknown, name: string, event: number): unknown {
  const place = `${printable(name)}: event ${event}`;
  if (error instanceof RangeError) {
    // V8's word for what no array or map can hold.
    const what = `the program uses more than this Node can keep track of (${error.message})`;
    return new LazyShadowError('ERR_OUT_OF_MEMORY', `${place}: ${what}. Record less of it.`, {
      verb: 'replayTrace',
      cause: error,
    });
  }
  if (!(error instanceof LazyShadowError)) return error;
  if (error.code === 'ERR_INVALID_USE' || error.code === 'ERR_OUT_OF_RANGE') {
    return badTrace(name, `event ${event}`, error.message.replace(/\.$/, ''), { cause: error });
  }
  const { code, verb, address, sizeBytes, osCode } = error;
  const details = { verb, address, sizeBytes, osCode, cause: error };
  return new LazyShadowError(code, `${place}: ${error.message}`, details);
}
