/**
 * `lazyshadow run-go -- go run ./cmd/x`: records a program, replays the recording, and reports its races.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type GoraceOptions, parseGorace } from '../../race/gorace.js';
import { formatReport, formatSummary } from '../../race/report-text.js';
import { REPLAY_LAYOUT } from '../../shadow/layouts.js';
import { Shadow } from '../../shadow/shadow.js';
import { TraceReader } from '../../trace/reader.js';
import { recordProgram } from '../../trace/record/record.js';
import { shellCode } from '../../trace/record/run.js';
import { withDirectory } from '../../trace/record/temporary.js';
import { replayTrace } from '../../trace/replay.js';
import { tellRecordings } from './record.js';

interface Flags {
  readonly output?: string;
}

/** Adds the command to the program. */
export function registerRunGo(program: Command): void {
  program
    .command('run-go')
    .description('record a Go program, replay the recording, and report the races in it')
    .argument('<command...>', 'after --, as for record: go run …, go test …, or a program built for it')
    .option('-o, --output <file>', 'keep the recording, .trc or .trc.gz')
    .addHelpText(
      'after',
      "\nThe program's own output comes first, with Go's reports; then, on standard output, those of the replay, which" +
        '\nmisses none. GORACE is what it is for Go. The exit code is that of the program.' +
        '\n\nExample:\n  lazyshadow run-go -- go run ./cmd/x\n',
    )
    .action(async (command: string[], flags: Flags) => {
      process.exitCode = await runGo(command, flags);
    });
}

async function runGo(command: readonly string[], flags: Flags): Promise<number> {
  // A mistake in it is told before a long run, not after.
  const gorace = parseGorace(process.env['GORACE'] ?? '');
  return withDirectory(tmpdir(), async (directory) => {
    const output = flags.output ?? join(directory, 'program.trc');
    const result = await recordProgram({ command, output });
    if (flags.output !== undefined) tellRecordings(result);
    for (const { path } of result.recordings) await reportRaces(path, gorace);
    return shellCode(result.ending);
  });
}

async function reportRaces(path: string, gorace: GoraceOptions): Promise<void> {
  const reader = await TraceReader.open(path);
  const shadow = new Shadow({ layout: REPLAY_LAYOUT });
  try {
    const { reports, symbols } = await replayTrace(reader, shadow, { gorace });
    const options = {
      symbolize: (pc: number) => symbols.frames(pc),
      stripPathPrefix: gorace.stripPathPrefix,
    };
    for (const report of reports) process.stdout.write(formatReport(report, options));
    process.stderr.write(reports.length === 0 ? 'lazyshadow: no data race\n' : formatSummary(reports.length));
  } finally {
    shadow.release();
    await reader.close();
  }
}
