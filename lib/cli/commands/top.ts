/**
 * `lazyshadow top`: all policies at once, side by side, while they run. On a terminal a table that is drawn anew in its
 * place; into a pipe a line for each sample.
 */

import type { Command } from 'commander';
import { createLogUpdate } from 'log-update';
import { measure } from '../../measure/measure.js';
import type { Sample } from '../../measure/sample.js';
import { humanBytes, logExtent } from '../../report/bytes.js';
import { POLICIES, type Policy } from '../../shadow/policies.js';
import { addExperimentOptions, type ExperimentFlags, experimentOf } from '../experiment-options.js';
import { parseCount } from '../options.js';
import { formatResult } from '../result-table.js';
import { plainTable } from '../table.js';
import { type Colours, coloursFor } from '../terminal.js';

interface Flags extends ExperimentFlags {
  readonly seconds: number;
}

/** Long enough to follow, short enough to wait for. */
const DEFAULT_SECONDS = 10;

/** Adds the command to the program. */
export function registerTop(program: Command): void {
  const command = program.command('top').description('watch the policies side by side while they run');
  addExperimentOptions(command)
    .option('--seconds <count>', 'slow it down to take about so long', parseCount, DEFAULT_SECONDS)
    .addHelpText(
      'after',
      '\nA bar is logarithmic: █ resident, ▒ committed, · reserved. Into a pipe it prints a line for each sample.' +
        '\n\nExample:\n  lazyshadow top --workload growth-shrink --heap 2GiB --seconds 20\n',
    )
    .action(async (flags: Flags) => {
      const view = process.stdout.isTTY === true ? tableView() : lineView();
      try {
        const result = await measure({
          ...experimentOf(flags),
          atOnce: true,
          durationMs: flags.seconds * 1000,
          onSample: (policy, sample) => view.show(policy, sample),
        });
        view.clear();
        process.stdout.write(formatResult(result, coloursFor(process.stdout)));
        if (result.policies.every(({ ok }) => !ok)) process.exitCode = 1;
      } finally {
        view.clear();
      }
    });
}

interface View {
  show(policy: Policy, sample: Sample): void;
  clear(): void;
}

/** A line for each sample, for who reads it later. */
function lineView(): View {
  return {
    show(policy, { atMs, heapBytes, reservedBytes, committedBytes, residentBytes }) {
      const sizes = [
        `heap ${humanBytes(heapBytes)}`,
        `reserved ${humanBytes(reservedBytes)}`,
        `committed ${humanBytes(committedBytes)}`,
        `resident ${humanBytes(residentBytes)}`,
      ];
      process.stdout.write(`${(atMs / 1000).toFixed(1)} s  ${policy}  ${sizes.join('  ')}\n`);
    },
    clear() {},
  };
}

/** The latest sample of each policy as a table; log-update hides the cursor and brings it back, whatever ends us. */
function tableView(): View {
  const latest = new Map<Policy, Sample>();
  const colours = coloursFor(process.stdout);
  const update = createLogUpdate(process.stdout);
  let shown = false;
  return {
    show(policy, sample) {
      latest.set(policy, sample);
      shown = true;
      update(formatLatest(latest, colours, process.stdout.columns));
    },
    clear() {
      if (!shown) return;
      shown = false;
      update.clear();
      update.done();
    },
  };
}

const HEAD = ['policy', 'time', 'heap', 'reserved', 'committed', 'resident', 'RSS', 'commit charge'];
/** Width of the columns above, and of the narrowest bar that says anything. */
const TEXT_COLUMNS = 90;
const LEAST_BAR = 12;

/** The table, with a bar in each row where there is room for one. */
export function formatLatest(latest: ReadonlyMap<Policy, Sample>, colours: Colours, columns: number): string {
  const barWidth = Math.min(60, columns - TEXT_COLUMNS);
  const extent = logExtent(
    [...latest.values()].flatMap((sample) => [
      sample.reservedBytes,
      sample.committedBytes,
      sample.residentBytes,
    ]),
  );
  const rows = POLICIES.flatMap((policy) => {
    const sample = latest.get(policy);
    if (sample === undefined) return [];
    const sizes = [
      sample.heapBytes,
      sample.reservedBytes,
      sample.committedBytes,
      sample.residentBytes,
      sample.processResidentBytes,
      sample.processCommitBytes,
    ];
    return [
      [
        colours.bold(policy),
        `${(sample.atMs / 1000).toFixed(1)} s`,
        ...sizes.map(humanBytes),
        ...(barWidth >= LEAST_BAR ? [bar(sample, barWidth, extent)] : []),
      ],
    ];
  });
  const scale = `${humanBytes(extent.min)} … ${humanBytes(extent.max)}`;
  const head = barWidth >= LEAST_BAR ? [...HEAD, scale.slice(0, barWidth).padEnd(barWidth)] : HEAD;
  return plainTable(head.map(colours.dim), rows);
}

/** `████▒▒▒▒····  `: as wide as told, one step for each equal factor. */
function bar(sample: Sample, width: number, { min, max }: { min: number; max: number }): string {
  const length = (bytes: number) =>
    bytes <= min ? 0 : Math.round((Math.log(bytes / min) / Math.log(max / min)) * width);
  const resident = length(sample.residentBytes);
  const committed = Math.max(resident, length(sample.committedBytes));
  const reserved = Math.max(committed, length(sample.reservedBytes));
  const text = '█'.repeat(resident) + '▒'.repeat(committed - resident) + '·'.repeat(reserved - committed);
  return text.padEnd(width);
}
