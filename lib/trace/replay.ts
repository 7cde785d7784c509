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
import { DEFAULT_GORACE, type GoraceOptions } from '../race/gorace.js';
import { RaceLog } from '../race/race-log.js';
import type { RaceReport } from '../race/report.js';
import { claimWindows, type Shadow } from '../shadow/shadow.js';
import { checkByOne } from './one-detector.js';
import { checkInParts, MOST_WORKERS } from './parts.js';
import { isLendable, type TraceReader } from './reader.js';
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
  /** Called with each report, in the order in which races were found; of what can be read again, after the last event. */
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
  const { gorace = DEFAULT_GORACE, onReport, onProgress } = options;
  const reports: RaceReport[] = [];
  const log = new RaceLog({
    gorace,
    ranges: shadow.layout.application,
    goNumbers: true,
    onReport: (report) => {
      reports.push(report);
      onReport?.(report);
    },
  });
  const found = await checkByOne({ reader, shadow: windows, gorace, log, onProgress });
  return { name: reader.name, ...found, reports };
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
