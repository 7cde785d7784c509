/**
 * `lazyshadow measure`: what each mapping policy reserves, commits and keeps resident, as the operating system counts.
 */

import { type Command, InvalidArgumentError } from 'commander';
import { type MeasureOptions, type MeasureResult, measure } from '../../measure/measure.js';
import { printableJson } from '../../native/printable.js';
import { addExperimentOptions, type ExperimentFlags, experimentOf } from '../experiment-options.js';
import { requireWritable, writeWhole } from '../output.js';
import { formatResult } from '../result-table.js';
import { coloursFor, progressBar, say } from '../terminal.js';
import { machine } from '../machine.js';

interface Flags extends ExperimentFlags {
  readonly json?: boolean;
  readonly plot?: string;
}

/** Adds the command to the program. */
export function registerMeasure(program: Command): void {
  const command = program
    .command('measure')
    .description('measure what each mapping policy reserves, commits and keeps resident');
  addExperimentOptions(command)
    .option('--plot <file>', 'draw it, into a .svg file, or a .html page with the numbers', plotFile)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nWithout --trace and --workload it replays how the heap of a real Go program grew, a recording that comes with' +
        '\nthe package. Exit code 1 if no policy could be measured.' +
        '\n\nExamples:' +
        '\n  lazyshadow measure --workload sparse --heap 4GiB --policy lazy,touch' +
        '\n  lazyshadow measure --trace x.trc.gz --plot x.svg\n',
    )
    .action(async (_file: string | undefined, flags: Flags) => {
      if (flags.plot !== undefined) requireWritable(flags.plot);
      const result = await measureWithProgress({
        ...experimentOf(flags),
        map: flags.plot !== undefined,
      });
      if (flags.plot !== undefined) await plot(result, flags.plot, program.version() ?? '');
      process.stdout.write(
        flags.json ? `${printableJson(result)}\n` : formatResult(result, coloursFor(process.stdout)),
      );
      if (result.policies.every(({ ok }) => !ok)) process.exitCode = 1;
    });
}

/** Measures, with a bar that says which policy is at work. */
export async function measureWithProgress(options: MeasureOptions): Promise<MeasureResult> {
  const bar = await progressBar('measuring');
  try {
    return await measure({ ...options, onProgress: (policy, done) => bar.update(done, policy) });
  } finally {
    bar.stop();
  }
}

function plotFile(path: string): string {
  if (/\.(svg|html)$/.test(path)) return path;
  throw new InvalidArgumentError('Give a file that ends in .svg or .html.');
}

/** The plotting library takes a while to load: only who plots waits for it. */
async function plot(measurement: MeasureResult, path: string, version: string): Promise<void> {
  const { page } = await import('../../report/page.js');
  const { picture } = await import('../../report/picture.js');
  const measuredAt = new Date().toISOString();
  const text = path.endsWith('.svg')
    ? picture(measurement)
    : page({ version, machine: machine(), measuredAt, measurement });
  writeWhole(path, text);
  say(`wrote ${path}`);
}
