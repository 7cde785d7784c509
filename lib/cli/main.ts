#!/usr/bin/env node
/**
 * The command line. Exit codes: 0 done; 1 nothing could be measured; 2 bad usage or bad input; replay and record add their own.
 */

import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { packageRoot } from '../native/addon.js';
import { LazyShadowError } from '../native/errors.js';
import { sayError } from './terminal.js';

const EXIT_BAD_INPUT = 2;

const HELP = `
Examples:
  lazyshadow measure                                 what each mapping policy costs
  lazyshadow record -o x.trc.gz -- go run ./cmd/x    record a Go program
  lazyshadow report x.trc.gz                         its memory and its races, as a page

Results go to standard output, everything else to standard error. No colours without a terminal, or with NO_COLOR.
Exit codes: 0 done, 1 nothing could be measured, 2 bad usage or bad input, 66 races were found (replay; GORACE can name
another), 128 and a signal's number if one ended it. record and run-go end as the program that they ran.
`;

function version(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

/** What adds each command, in the order of the help. The last completes the others. */
const COMMANDS = {
  record: async () => (await import('./commands/record.js')).registerRecord,
  'run-go': async () => (await import('./commands/run-go.js')).registerRunGo,
  replay: async () => (await import('./commands/replay.js')).registerReplay,
  report: async () => (await import('./commands/report.js')).registerReport,
  measure: async () => (await import('./commands/measure.js')).registerMeasure,
  top: async () => (await import('./commands/top.js')).registerTop,
  inspect: async () => (await import('./commands/inspect.js')).registerInspect,
  doctor: async () => (await import('./commands/doctor.js')).registerDoctor,
  completion: async () => (await import('./commands/completion.js')).registerCompletion,
} satisfies Record<string, () => Promise<(program: Command) => void>>;

/** The commands that these arguments can be about: where the first names one, no other needs to be loaded. */
function commandsFor([first]: readonly string[]): (keyof typeof COMMANDS)[] {
  const all = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];
  const named = all.filter((name) => name === first && name !== 'completion');
  return named.length > 0 ? named : all;
}

/**
 * Runs one command.
 * @param args what was typed after the program's name
 * @returns the exit code
 */
export async function run(args: readonly string[]): Promise<number> {
  const program = new Command('lazyshadow')
    .description(
      'Real shadow memory, reserved once and committed lazily: measure it, and what each policy costs.',
    )
    .version(version())
    .exitOverride()
    .addHelpText('after', HELP);
  for (const name of commandsFor(args)) (await COMMANDS[name]())(program);
  for (const command of program.commands) command.exitOverride().showHelpAfterError('(--help tells more)');
  try {
    await program.parseAsync([...args], { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // commander has printed its own errors, help and version already; those that end well have exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_BAD_INPUT;
    if (!(error instanceof LazyShadowError)) throw error;
    sayError(error);
    return EXIT_BAD_INPUT;
  }
}

// Started as a program, through a symbolic link (npm's bin) or not; imported, it only offers run().
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // A reader that goes away (`| head`) ends the program quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  process.exitCode = await run(process.argv.slice(2));
}
