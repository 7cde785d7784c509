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
import { wholeNumber } from '../native/arguments.js';
import { LazyShadowError } from '../native/errors.js';
import { Detector } from '../race/detector.js';
import { DEFAULT_GORACE, type GoraceOptions, historyEntries } from '../race/gorace.js';
import { RaceLog } from '../race/race-log.js';
import type { RaceReport } from '../race/report.js';
import { GoSuppression } from '../race/suppression.js';
import type { ShadowMemory } from '../shadow/segment.js';
import { claimWindows, type Shadow } from '../shadow/shadow.js';
import { located } from './errors.js';
import type { TraceReader } from './reader.js';
import { type Progress, replayEvents } from './replay-events.js';
import { MOST_WORKERS, replayInShares, type SharesOptions, type SharesResult } from './shares.js';
import type { SymbolTable } from './symbols.js';

/** How a recording is replayed. */
export interface ReplayOptions {
  /** As the variable GORACE. Default: as Go. */
  readonly gorace?: GoraceOptions;
  /**
   * Threads that check the recording, each a share of the addresses, over the same shadow; from 1 to 64. Default 1: this
   * thread. The result is the same, except that a report may know a stack that would be forgotten otherwise. With
   * halt_on_error, and under `unreserved`, it is this thread alone.
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
  /** Time that the events took: without reading them, or with several workers from the first event to the last. */
  readonly elapsedMs: number;
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
  const { gorace = DEFAULT_GORACE, workers = 1 } = options;
  if (wholeNumber('replayTrace', 'workers', workers) < 1 || workers > MOST_WORKERS) {
    throw new LazyShadowError(
      'ERR_INVALID_ARGUMENT',
      `replayTrace: workers must be from 1 to ${MOST_WORKERS}, not ${workers}.`,
      { verb: 'replayTrace' },
    );
  }
  const windows = claimWindows('replayTrace', shadow);
  const reports: RaceReport[] = [];
  const onReport = (report: RaceReport) => {
    reports.push(report);
    options.onReport?.(report);
  };
  const onProgress = (events: number) => options.onProgress?.(events);
  const { eventCount } = reader.header;
  const found =
    workers > 1 && canShare(shadow, gorace)
      ? {
          events: eventCount,
          ...(await replayInShares(reader, shadow, { workers, gorace, onReport, onProgress })),
        }
      : await replayAlone(reader, shadow, windows, { gorace, onReport, onProgress });
  return { name: reader.name, reports, ...found, symbols: await reader.symbols() };
}

/**
 * Whether several workers may check a recording. Not if it ends at the first race, which one of them would run past. Nor
 * where nothing is reserved: their own shadows (share-worker.ts) would take addresses that MapShadow comes for later.
 */
function canShare(shadow: Shadow, gorace: GoraceOptions): boolean {
  return !gorace.haltOnError && shadow.policy !== 'unreserved';
}

/** The replay by one detector, in this thread. */
async function replayAlone(
  reader: TraceReader,
  shadow: Shadow,
  windows: ShadowMemory,
  { gorace, onReport, onProgress }: Omit<SharesOptions, 'workers'>,
): Promise<SharesResult & { events: number }> {
  const log = new RaceLog({
    suppression: new GoSuppression(gorace),
    ranges: shadow.layout.application,
    goNumbers: true,
    onReport: (report) => {
      onReport(report);
      if (gorace.haltOnError) throw HALT;
    },
  });
  const detector: Detector = new Detector({
    shadow: windows,
    historyEntries: historyEntries(gorace.historySize),
    onSighting: (sighting) => log.add(detector, sighting),
    markStacks: (mark) => log.markStacks(mark),
  });

  let events = 0;
  let elapsed = 0n;
  let halted = false;
  const progress: Progress = { done: 0 };
  for await (const { firstEvent, words, count } of reader.batches()) {
    // After a halt the rest is read on, since the symbols are at the end.
    if (halted) continue;
    const start = process.hrtime.bigint();
    try {
      replayEvents(detector, words, count, progress);
    } catch (error) {
      if (error !== HALT) throw located(error, reader.name, firstEvent + progress.done);
      halted = true;
      progress.done++;
    }
    elapsed += process.hrtime.bigint() - start;
    events = firstEvent + progress.done;
    onProgress(events);
  }
  return {
    events,
    goroutines: detector.goroutines.startedCount,
    racyAddresses: log.bytes.addresses(),
    elapsedMs: Number(elapsed) / 1e6,
  };
}
