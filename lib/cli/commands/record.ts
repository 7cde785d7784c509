/**
 * `lazyshadow record -- go run ./cmd/x`: records what a Go program tells its race detector.
 */
import { type Command, Option } from 'commander';
import { LazyShadowError } from '../../native/errors.js';
import { finishRecording } from '../../trace/record/finish.js';
import { cleanOverlays } from '../../trace/record/overlay.js';
import { buildRecorded, recordProgram, type RecordResult } from '../../trace/record/record.js';
import { type Ending, shellCode } from '../../trace/record/run.js';
import { humanBytes } from '../../report/bytes.js';
import { parseCount, parseSize } from '../options.js';
import { say } from '../terminal.js';

interface Flags {
  readonly output?: string;
  readonly buildOnly?: boolean;
  readonly maxEvents?: number;
  readonly maxSize?: number;
  readonly finish?: string;
  readonly clean?: boolean;
}

/** Adds the command to the program. */
export function registerRecord(program: Command): void {
  program
    .command('record')
    .description("run a Go program and record what it tells Go's race detector")
    .argument('[command...]', 'after --: go run …, go test …, or a program built with --build-only')
    .option('-o, --output <file>', "the recording, .trc or .trc.gz (default: the program's name and .trc)")
    .addOption(
      new Option('--build-only', 'build a program that records when LAZYSHADOW_RECORD=FILE is set').conflicts(
        ['maxEvents', 'maxSize'],
      ),
    )
    .option('--max-events <count>', 'end the recording there; the program goes on', parseCount)
    .option('--max-size <size>', 'end the recording at this size, unpacked, such as 500M', parseSize)
    .option('--finish <file>', 'make the recording of a program that was killed whole')
    .option('--clean', 'remove what was made to build programs with')
    .addHelpText(
      'after',
      '\nLinux amd64, Go 1.19 or later, a C compiler. The exit code is that of the program, 128 and the signal if a' +
        '\nsignal ended it, or that of go test.\n\nExamples:' +
        '\n  lazyshadow record -o x.trc.gz -- go run ./cmd/x -n 10' +
        '\n  lazyshadow record --max-size 500M -- go test -run TestServer ./server' +
        '\n  lazyshadow record --build-only -- go build -o x ./cmd/x\n  lazyshadow record -o x.trc -- ./x\n',
    )
    .action(async (command: string[], flags: Flags) => {
      if (flags.clean === true) say(`removed ${cleanOverlays()}`);
      if (flags.finish !== undefined) {
        const events = await finishRecording(flags.finish);
        say(`${flags.finish} has ${events.toLocaleString('en-US')} events`);
      }
      if (command.length > 0) process.exitCode = await recordCommand(command, flags);
      else if (flags.clean !== true && flags.finish === undefined)
        throw new LazyShadowError(
          'ERR_INVALID_ARGUMENT',
          'there is nothing to record. Give a command after --, such as: lazyshadow record -- go run .',
          { verb: 'record' },
        );
    });
}

async function recordCommand(command: readonly string[], flags: Flags): Promise<number> {
  if (flags.buildOnly === true) {
    const { ending, program } = await buildRecorded(command, flags.output);
    if (ending.exitCode === 0)
      say(`built ${program ?? 'the program'}; it records when it is started with LAZYSHADOW_RECORD=FILE.trc`);
    return shellCode(ending);
  }
  const { output, maxEvents, maxSize } = flags;
  const result = await recordProgram({ command, output, maxEvents, maxBytes: maxSize });
  tellRecordings(result);
  return shellCode(result.ending);
}

/** Says on standard error what was recorded, and how the program ended. */
export function tellRecordings({ ending, recordings }: RecordResult): void {
  for (const { path, events, sizeBytes } of recordings)
    say(`recorded ${events.toLocaleString('en-US')} events, ${humanBytes(sizeBytes)}, in ${path}`);
  say(`${recordings.length === 0 ? 'nothing was recorded; ' : ''}it ended with ${describeEnding(ending)}`);
}

function describeEnding({ exitCode, signal }: Ending): string {
  return signal === null ? `exit code ${exitCode}` : `signal ${signal}`;
}
