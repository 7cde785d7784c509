/**
 * `lazyshadow report TRACE`: one page with where a recording's shadow goes under each policy, and its races.
 */

import { basename } from 'node:path';
import type { Command } from 'commander';
import { LazyShadowError } from '../../native/errors.js';
import { printableJson } from '../../native/printable.js';
import type { PageData } from '../../report/page.js';
import { addWhereOptions, experimentOf, type WhereFlags } from '../experiment-options.js';
import { machine } from '../machine.js';
import { requireWritable, writeWhole } from '../output.js';
import { progressBar, say } from '../terminal.js';
import { measureWithProgress } from './measure.js';

interface Flags extends WhereFlags {
  readonly output?: string;
  readonly json?: boolean;
}

/** Adds the command to the program. */
export function registerReport(program: Command): void {
  const command = program
    .command('report')
    .description("write one HTML page: where a recording's shadow goes, and its races")
    .argument('<file>', 'a recording (.trc, or packed with gzip)');
  addWhereOptions(command)
    .option('-o, --output <file>', "the page (default: the recording's name and .html)")
    .option('--json', 'print what the page shows as one JSON object')
    .addHelpText(
      'after',
      '\nThe recording is measured under each policy, and replayed once for its races. The page needs no network and no' +
        '\nscript. Exit code 0 if it was written, races or not; 1 if no policy could be measured.' +
        '\n\nExample:\n  lazyshadow report x.trc.gz -o x.html\n',
    )
    .action(async (file: string, flags: Flags) => {
      if (file === '-')
        throw new LazyShadowError(
          'ERR_INVALID_ARGUMENT',
          'report reads its recording several times, and standard input is read once. Give a file.',
          { verb: 'report' },
        );
      const output = flags.output ?? `${basename(file).replace(/\.trc(\.gz)?$/, '')}.html`;
      requireWritable(output);
      await writeReport(file, output, flags, program.version() ?? '');
    });
}

async function writeReport(file: string, output: string, flags: Flags, version: string): Promise<void> {
  const { page } = await import('../../report/page.js');
  const { recordingReport } = await import('../../report/recording.js');
  const bar = await progressBar('replaying');
  let recording;
  try {
    recording = await recordingReport(file, (done) => bar.update(done));
  } finally {
    bar.stop();
  }
  const measurement = await measureWithProgress({ ...experimentOf(flags), trace: file, map: true });
  const measuredAt = new Date().toISOString();
  const data: PageData = { version, machine: machine(), measuredAt, measurement, recording };
  writeWhole(output, page(data));
  say(`wrote ${output}`);
  if (flags.json === true) process.stdout.write(`${printableJson(data)}\n`);
  if (measurement.policies.every(({ ok }) => !ok)) process.exitCode = 1;
}
