/**
 * What a report says of a recording besides its memory: what it holds, and its races.
 */

import type { RaceReport, ReportedAccess } from '../race/report.js';
import { type JsonAccess, type JsonRace, jsonRace } from '../race/report-json.js';
import { REPLAY_LAYOUT } from '../shadow/layouts.js';
import { Shadow } from '../shadow/shadow.js';
import { inspectTrace, type TraceSummary } from '../trace/inspect.js';
import { TraceReader } from '../trace/reader.js';
import { replayTrace } from '../trace/replay.js';
import type { SymbolTable } from '../trace/symbols.js';

/** One side of a race, with the name that Go's own reports have for its goroutine. */
export interface AccessInReport extends JsonAccess {
  readonly goroutineName: string;
}

/** A race as in `lazyshadow replay --json`, and Go's names. */
export interface RaceInReport extends JsonRace {
  readonly current: AccessInReport;
  readonly previous: AccessInReport;
}

/** What a recording holds and what is wrong in the program that made it. */
export interface RecordingReport {
  readonly summary: TraceSummary;
  /** All races that were reported; `races` has the first of them. */
  readonly raceCount: number;
  readonly races: readonly RaceInReport[];
  /** Bytes of application memory on which accesses raced. */
  readonly racyByteCount: number;
}

/** Races that a page shows: more than these nobody reads, and each is some kilobytes. */
const MOST_RACES = 200;

/**
 * Replays a recording and sums it up.
 * @param onProgress called with the part done, from 0 to 1
 * @throws LazyShadowError ERR_BAD_TRACE, ERR_OUT_OF_MEMORY
 */
export async function recordingReport(
  file: string,
  onProgress?: (done: number) => void,
): Promise<RecordingReport> {
  const summary = await withReader(file, inspectTrace);
  return withReader(file, async (reader) => {
    const shadow = new Shadow({ policy: 'touch', layout: REPLAY_LAYOUT });
    try {
      const { reports, racyAddresses, symbols } = await replayTrace(reader, shadow, {
        onProgress: (events) => onProgress?.(events / reader.header.eventCount),
      });
      return {
        summary,
        raceCount: reports.length,
        races: reports.slice(0, MOST_RACES).map((report) => raceInReport(report, symbols)),
        racyByteCount: racyAddresses.length,
      };
    } finally {
      shadow.release();
    }
  });
}

async function withReader<T>(file: string, use: (reader: TraceReader) => Promise<T>): Promise<T> {
  const reader = await TraceReader.open(file);
  try {
    return await use(reader);
  } finally {
    await reader.close();
  }
}

function raceInReport(report: RaceReport, symbols: SymbolTable): RaceInReport {
  const race = jsonRace(report, (pc) => symbols.frames(pc));
  const named = (access: JsonAccess, { main, textNumber }: ReportedAccess): AccessInReport => ({
    ...access,
    goroutineName: main ? 'main goroutine' : `goroutine ${textNumber}`,
  });
  return {
    ...race,
    current: named(race.current, report.current),
    previous: named(race.previous, report.previous),
  };
}
