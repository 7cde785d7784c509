/**
 * Every recording in the repository through the detector, against the exact answer in its manifest.
 */
import { describe, expect, it } from 'vitest';
import { parseGorace } from '../../lib/race/gorace.js';
import { framesOf, type RaceReport } from '../../lib/race/report.js';
import { formatReport } from '../../lib/race/report-text.js';
import { POLICIES } from '../../lib/shadow/policies.js';
import { Shadow, type ShadowOptions } from '../../lib/shadow/shadow.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { type ReplayResult, replayTrace } from '../../lib/trace/replay.js';
import {
  type ManifestRow,
  type ProgramRow,
  program,
  programBytes,
  programStream,
  programs,
  raceTests,
} from '../support/recordings.js';
import { HEAP_SIZE, slow } from '../support/sizes.js';

async function replay(
  source: Parameters<typeof TraceReader.open>[0],
  options: ShadowOptions = {},
  gorace = '',
) {
  const reader = await TraceReader.open(source);
  const shadow = new Shadow({ ...HEAP_SIZE, ...options });
  try {
    const result = await replayTrace(reader, shadow, { gorace: parseGorace(gorace) });
    // Not for the others, where nobody looks at it: Wine's answer takes a second for each gigabyte.
    const stats = options.policy === 'touch' ? shadow.stats() : undefined;
    return { result, stats };
  } finally {
    shadow.release();
    await reader.close();
  }
}

/** What Go's suite sets, so that it sees each race. */
const GO_SUITE_OPTIONS = 'suppress_equal_stacks=0 suppress_equal_addresses=0';

const hex = (addresses: readonly number[]) => addresses.map((address) => `0x${address.toString(16)}`);

const RULE = '==================\n';

function textOf(report: RaceReport, result: ReplayResult): string {
  return formatReport(report, { symbolize: (pc) => result.symbols.frames(pc) });
}

/** How far a result is from the manifest. */
interface Score {
  readonly name: string;
  readonly events: number;
  readonly expected: number;
  readonly falsePositives: string[];
  readonly falseNegatives: string[];
  readonly reports: number;
  readonly goReports: number;
  readonly nsPerEvent: number;
}

function score(row: ManifestRow, result: ReplayResult): Score {
  const found = new Set(hex(result.racyAddresses));
  const expected = new Set(row.racyAddresses);
  return {
    name: row.name,
    events: row.events,
    expected: expected.size,
    falsePositives: [...found].filter((address) => !expected.has(address)),
    falseNegatives: [...expected].filter((address) => !found.has(address)),
    reports: result.reports.length,
    goReports: row.goReports,
    nsPerEvent: (result.elapsedMs * 1e6) / row.events,
  };
}

function printTable(title: string, scores: readonly Score[]): void {
  const line = (name: string, all: readonly Score[]) =>
    [
      name.padEnd(28),
      String(all.reduce((sum, { events }) => sum + events, 0)).padStart(10),
      String(all.reduce((sum, { expected }) => sum + expected, 0)).padStart(6),
      String(all.reduce((sum, { falsePositives }) => sum + falsePositives.length, 0)).padStart(9),
      String(all.reduce((sum, { falseNegatives }) => sum + falseNegatives.length, 0)).padStart(9),
      String(all.reduce((sum, { reports }) => sum + reports, 0)).padStart(8),
      String(all.reduce((sum, { goReports }) => sum + goReports, 0)).padStart(5),
    ].join(' ');
  const head = `${title.padEnd(28)}     events   racy false pos false neg  reports  Go's`;
  const bad = scores.filter((one) => one.falsePositives.length + one.falseNegatives.length > 0);
  const rows = (scores.length <= 10 ? scores : bad).map((one) => line(one.name, [one]));
  console.log([head, ...rows, line(`all ${scores.length}`, scores)].join('\n'));
}

/** The two accesses of a report as Go's text has them: kind, then function, file and line of each frame. */
function pairOf(report: RaceReport, result: ReplayResult): string[] {
  return [report.current, report.previous]
    .map((access) => {
      const frames = framesOf(access.stack ?? [], (pc) => result.symbols.frames(pc));
      const top = frames[0];
      return `${access.kind} ${top?.function} ${top?.file}:${top?.line}`;
    })
    .sort();
}

function goPairOf(text: string): string[] {
  const accesses = text.matchAll(/^(Previous )?(read|write) at .*:\n {2}(.*)\(\)\n {6}(.*) \+0x/gim);
  return [...accesses].map(([, , kind = '', name, where]) => `${kind.toLowerCase()} ${name} ${where}`).sort();
}

function expectGoReports(row: ManifestRow, result: ReplayResult): void {
  const ours = result.reports.map((report) => pairOf(report, result).join(' | '));
  for (const text of row.goReportText ?? []) expect(ours).toContain(goPairOf(text).join(' | '));
}

/** Of a recording that is replayed where each instruction is emulated. */
const SLOW_EVENTS = 100_000;

describe('the recordings', () => {
  it('of 259 tests of Go’s race detector: racy addresses and reports', async () => {
    const scores: Score[] = [];
    let seen = 0;
    for await (const { row, bytes } of raceTests()) {
      if (slow && seen++ % 16 !== 0) continue;
      const { result } = await replay(bytes, {}, GO_SUITE_OPTIONS);
      scores.push(score(row, result));
      expectGoReports(row, result);
      const texts = result.reports.map((report) => textOf(report, result));
      for (const text of row.goReportText ?? []) expect(texts).toContain(`${RULE}${text.trimEnd()}\n${RULE}`);
      expect(result.goroutines, row.name).toBe(row.goroutines);
      // The runtime evicts cells and so may see fewer; more than it saw, exactness alone explains.
      expect(result.reports.length, row.name).toBeGreaterThanOrEqual(row.goReports);
    }
    printTable('race tests', scores);
    expect(scores).toHaveLength(slow ? 17 : 259);
    expect(scores.filter((one) => one.falsePositives.length + one.falseNegatives.length > 0)).toEqual([]);
  }, 300_000);

  it('of eight programs: racy addresses and reports', async () => {
    const scores: Score[] = [];
    for (const row of programs().filter(({ events }) => !slow || events < SLOW_EVENTS)) {
      const { result } = await replay(programStream(row));
      scores.push(score(row, result));
      expectGoReports(row, result);
      expect(result.events).toBe(row.events);
    }
    printTable('programs', scores);
    expect(scores.filter((one) => one.falsePositives.length + one.falseNegatives.length > 0)).toEqual([]);
  }, 300_000);

  it('give the same answer under every policy and multiplier', async () => {
    for (const name of slow ? ['racymap', 'sieve'] : ['racymap', 'crawl', 'sieve']) {
      const row = program(name);
      const bytes = programBytes(row);
      const expected = (await replay(bytes)).result;
      for (const options of [...POLICIES.map((policy) => ({ policy })), { layout: 'node-x2' }]) {
        const { result } = await replay(bytes, options);
        expect(hex(result.racyAddresses), `${name} ${JSON.stringify(options)}`).toEqual(row.racyAddresses);
        expect(result.reports.map((report) => pairOf(report, result))).toEqual(
          expected.reports.map((report) => pairOf(report, expected)),
        );
      }
    }
  });

  it('commit at most 1.25 times under touch of what becomes resident', async () => {
    for (const row of programs().filter((one: ProgramRow) => one.events < (slow ? SLOW_EVENTS : 500_000))) {
      const { stats } = await replay(programBytes(row), { policy: 'touch' });
      expect(stats?.committedBytes, row.name).toBeLessThan(1.25 * (stats?.residentBytes ?? 0));
    }
  });
});

describe('the report of a recording', () => {
  it('is Go’s text to the letter', async () => {
    for (const name of ['racycounter', 'racymap', 'crawl']) {
      const row = program(name);
      const { result } = await replay(programBytes(row));
      const texts = result.reports.map((report) => textOf(report, result));
      expect(texts.join('')).toBe(
        (row.goReportText ?? []).map((text) => `${RULE}${text.trimEnd()}\n${RULE}`).join(''),
      );
    }
  });
});
