/**
 * `lazyshadow replay FILE...`: runs recordings through the race detector and says which races they have.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { LazyShadowError } from '../../native/errors.js';
import { printable, printableJson } from '../../native/printable.js';
import { processMemory } from '../../native/system.js';
import { type GoraceOptions, parseGorace } from '../../race/gorace.js';
import { jsonAddress, jsonRace } from '../../race/report-json.js';
import { type SarifRun, sarifLog } from '../../race/report-sarif.js';
import { formatReport, formatSummary } from '../../race/report-text.js';
import { LAYOUT_NAMES, REPLAY_LAYOUT } from '../../shadow/layouts.js';
import { DEFAULT_POLICY, POLICIES, type Policy } from '../../shadow/policies.js';
import { Shadow } from '../../shadow/shadow.js';
import { WORKERS_POLICY } from '../../trace/parts.js';
import { TraceReader } from '../../trace/reader.js';
import { type ReplayResult, replayTrace } from '../../trace/replay.js';
import { parseCount } from '../options.js';
import { fileOutput, type Output } from '../output.js';
import { progressBar, sayError } from '../terminal.js';

/** Exit code of a recording that could not be replayed. */
const EXIT_BAD_INPUT = 2;
/** Exit code without races. */
const EXIT_CLEAN = 0;

type Format = 'text' | 'json' | 'sarif';

interface ReplayFlags {
  readonly policy: Policy;
  readonly layout: string;
  readonly gorace: Gorace;
  readonly workers: number;
  readonly format: Format;
  readonly json?: boolean;
  readonly output?: string;
  readonly locations?: boolean;
}

/** Adds the command to the program. */
export function registerReplay(program: Command): void {
  program
    .command('replay')
    .description('run recordings through the race detector and report the races in them')
    .argument('<files...>', 'recordings (.trc, or packed with gzip), or - for standard input')
    .addOption(
      new Option('--policy <policy>', 'how shadow is mapped').choices([...POLICIES]).default(DEFAULT_POLICY),
    )
    .addOption(
      new Option('--layout <name>', 'where the shadow lies')
        .choices([...LAYOUT_NAMES])
        .default(REPLAY_LAYOUT),
    )
    .addOption(
      new Option('--gorace <options>', 'as the variable GORACE: "history_size=7 halt_on_error=1"')
        .argParser(goraceOf)
        .default(goraceOf(''), 'as Go'),
    )
    .addOption(
      new Option('--workers <count>', 'threads that check a plain file, each a part of its time')
        .argParser(parseCount)
        .default(1),
    )
    .addOption(
      new Option('--format <format>', 'of the reports').choices(['text', 'json', 'sarif']).default('text'),
    )
    .option('--json', 'short for --format json: one object a line for each recording')
    .option('--output <file>', 'write the reports there')
    .option('--locations', 'say in text reports which object each race is in, which Go does not')
    .addHelpText(
      'after',
      '\nExit code 66 if races were found, as with Go, or what exitcode in --gorace says; 2 if a recording cannot be read.' +
        '\n\nExample:\n  lazyshadow replay --locations x.trc.gz\n',
    )
    .action(async (files: string[], flags: ReplayFlags) => {
      process.exitCode = await replayFiles(files, flags, program.version() ?? '');
    });
}

/** Replays each file; returns the exit code. */
async function replayFiles(files: readonly string[], flags: ReplayFlags, version: string): Promise<number> {
  const { gorace } = flags;
  const format: Format = flags.json === true ? 'json' : flags.format;
  const output = openOutput(flags);
  const sarifRuns: SarifRun[] = [];
  let found = 0;
  let failed = false;
  try {
    for (const file of files) {
      try {
        const { result, memory } = await replayFile(file, flags);
        const symbolize = (pc: number) => result.symbols.frames(pc);
        found += result.reports.length;
        if (format === 'json') output.write(`${printableJson(jsonLine(result, memory, gorace))}\n`);
        else if (format === 'sarif') {
          const { stripPathPrefix } = gorace;
          sarifRuns.push({ name: result.name, reports: result.reports, symbolize, stripPathPrefix });
        } else {
          const options = {
            symbolize,
            stripPathPrefix: gorace.stripPathPrefix,
            withLocation: flags.locations === true,
          };
          for (const report of result.reports) output.write(formatReport(report, options));
        }
      } catch (error) {
        if (!(error instanceof LazyShadowError)) throw error;
        sayError(error);
        failed = true;
      }
    }
    if (format === 'sarif') output.write(`${printableJson(sarifLog(sarifRuns, version), 2)}\n`);
  } finally {
    output.close();
  }
  if (found > 0) {
    process.stderr.write(formatSummary(found));
    // Go waits, so that other threads may report too. Nothing else runs here: only whoever asks for it waits.
    if (gorace.given.includes('atexit_sleep_ms')) await sleep(gorace.atexitSleepMs);
  }
  if (failed) return EXIT_BAD_INPUT;
  return found > 0 ? gorace.exitCode : EXIT_CLEAN;
}

/** What the operating system says of a replay's memory at its end. */
interface MemoryAtEnd {
  readonly shadow: object;
  readonly process: object;
}

async function replayFile(
  file: string,
  flags: ReplayFlags,
): Promise<{ result: ReplayResult; memory: MemoryAtEnd }> {
  const reader = await TraceReader.open(file);
  const bar = await progressBar(printable(reader.name));
  try {
    const shadow = new Shadow({ policy: flags.policy, layout: flags.layout });
    try {
      const start = performance.now();
      const result = await replayTrace(reader, shadow, {
        gorace: flags.gorace,
        workers: flags.workers,
        onProgress: (events) => {
          const seconds = (performance.now() - start) / 1000;
          const { eventCount } = reader.header;
          bar.update(events / eventCount, `${(events / seconds / 1e6).toFixed(1)} M events/s`);
        },
      });
      const { workersMemory } = result;
      const { reservedBytes, committedBytes, osCommittedBytes, residentBytes } =
        workersMemory ?? shadow.stats();
      const policy = workersMemory === undefined ? shadow.policy : WORKERS_POLICY;
      return {
        result,
        memory: {
          shadow: { policy, reservedBytes, committedBytes, osCommittedBytes, residentBytes },
          process: processMemory(),
        },
      };
    } finally {
      shadow.release();
    }
  } finally {
    bar.stop();
    await reader.close();
  }
}

function jsonLine(result: ReplayResult, memory: MemoryAtEnd, gorace: GoraceOptions): object {
  const { name, events, goroutines, reports, racyAddresses, elapsedMs, symbols } = result;
  return {
    trace: name,
    events,
    goroutines,
    reportCount: reports.length,
    racyAddresses: racyAddresses.map(jsonAddress),
    races: reports.map((report) => jsonRace(report, (pc) => symbols.frames(pc), gorace.stripPathPrefix)),
    elapsedMs,
    nsPerEvent: events === 0 ? 0 : (elapsedMs * 1e6) / events,
    ...memory,
  };
}

/** GORACE's options, and which were given. */
interface Gorace extends GoraceOptions {
  readonly given: readonly string[];
}

/** What --gorace says; a mistake in it is told as one of the command line. */
function goraceOf(text: string): Gorace {
  try {
    return { ...parseGorace(text), given: text.split(/[\s=]+/) };
  } catch (error) {
    if (error instanceof LazyShadowError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** Where reports go: --output, or GORACE's log_path if it was given, or standard output. */
function openOutput({ output, gorace }: ReplayFlags): Output {
  if (output !== undefined) return fileOutput(output);
  if (!gorace.given.includes('log_path') || gorace.logPath === 'stdout') {
    return { write: (text) => process.stdout.write(text), close: () => {} };
  }
  if (gorace.logPath === 'stderr') return { write: (text) => process.stderr.write(text), close: () => {} };
  return fileOutput(`${gorace.logPath}.${process.pid}`);
}
