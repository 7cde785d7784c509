/**
 * `lazyshadow top`: all policies at once, side by side, while they run. On a terminal a table that is drawn anew in its
 * place; into a pipe a line for each sample.
 */

import type { Command } from 'commander';
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
        '\n\nExample:\n  lazyshadow top --workload growth-shrink --seconds 20\n',
    )
    .action(async (_file: string | undefined, flags: Flags) => {
      const view = process.stdout.isTTY === true ? await tableView() : lineView();
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
async function tableView(): Promise<View> {
  // Loaded here, because no other command should start a fifth later for it.
  const { createLogUpdate } = await import('log-update');
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

/** A column of sizes: its head, and what a sample has for it. */
type Column = readonly [head: string, size: (sample: Sample) => number | null];
const SHADOW_COLUMNS: readonly Column[] = [
  ['heap', (sample) => sample.heapBytes],
  ['reserved', (sample) => sample.reservedBytes],
  ['committed', (sample) => sample.committedBytes],
  ['resident', (sample) => sample.residentBytes],
];
const PROCESS_COLUMNS: readonly Column[] = [
  ['RSS', (sample) => sample.processResidentBytes],
  ['commit charge', (sample) => sample.processCommitBytes],
];
/** Width of the text with all columns, and with those of the shadow: at their widest, so that nothing jumps while they grow. */
const WHOLE_WIDTH = 90;
const SHADOW_WIDTH = 65;
/** The narrowest bar that says anything, and the widest that is needed. */
const LEAST_BAR = 12;
const MOST_BAR = 60;

/**
 * The table, no wider than the terminal: in 80 columns it is about the shadow alone. With a bar in each row where there is
 * room for one.
 */
export function formatLatest(latest: ReadonlyMap<Policy, Sample>, colours: Colours, columns: number): string {
  const whole = columns >= WHOLE_WIDTH;
  const shown = whole ? [...SHADOW_COLUMNS, ...PROCESS_COLUMNS] : SHADOW_COLUMNS;
  const barWidth = Math.min(MOST_BAR, columns - (whole ? WHOLE_WIDTH : SHADOW_WIDTH));
  const hasBar = barWidth >= LEAST_BAR;
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
    return [
      [
        colours.bold(policy),
        `${(sample.atMs / 1000).toFixed(1)} s`,
        ...shown.map(([, size]) => humanBytes(size(sample))),
        ...(hasBar ? [bar(sample, barWidth, extent)] : []),
      ],
    ];
  });
  const scale = `${humanBytes(extent.min)} … ${humanBytes(extent.max)}`;
  const head = ['policy', 'time', ...shown.map(([name]) => name)];
  if (hasBar) head.push(scale.slice(0, barWidth).padEnd(barWidth));
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
