/**
 * `lazyshadow measure`: what each mapping policy reserves, commits and keeps resident, as the operating system counts.
 */

import { basename } from 'node:path';
import { SingleBar } from 'cli-progress';
import { type Command, Option } from 'commander';
import { WORKLOAD_NAMES } from '../../measure/workloads.js';
import type { PolicyResult } from '../../measure/experiment.js';
import { type MeasureOptions, type MeasureResult, measure } from '../../measure/measure.js';
import type { Sample } from '../../measure/sample.js';
import { DEFAULT_LAYOUT, LAYOUT_NAMES } from '../../shadow/layouts.js';
import { printable } from '../../native/printable.js';
import { POLICIES, type Policy } from '../../shadow/policies.js';
import { humanBytes, parseList, parseSize } from '../options.js';
import { plainTable } from '../table.js';

interface Flags {
  readonly trace?: string;
  readonly workload?: string;
  readonly heap?: number;
  readonly policy?: string[];
  readonly layout: string;
  readonly json?: boolean;
}

/** Adds the command to the program. */
export function registerMeasure(program: Command): void {
  program
    .command('measure')
    .description('measure what each mapping policy reserves, commits and keeps resident')
    .addOption(
      new Option(
        '--trace <file>',
        'a recording (.trc, or packed with gzip), or - for standard input',
      ).conflicts('workload'),
    )
    .addOption(new Option('--workload <name>', 'a built-in workload instead').choices(WORKLOAD_NAMES))
    .option(
      '--heap <size>',
      "a built-in workload's heap at its largest, such as 512M or 4GiB (default: 1GiB)",
      parseSize,
    )
    .option('--policy <list>', `only these, separated by commas: ${POLICIES.join(', ')}`, parseList)
    .addOption(
      new Option('--layout <name>', 'where the shadow lies').choices(LAYOUT_NAMES).default(DEFAULT_LAYOUT),
    )
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nWithout --trace and --workload it replays how the heap of a real Go program grew, a recording that comes with' +
        '\nthe package.\n\nExample:\n  lazyshadow measure --workload sparse --heap 4GiB --policy lazy,touch\n',
    )
    .action(async (flags: Flags) => {
      const result = await measureWithProgress(flags);
      process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : formatResult(result));
      if (result.policies.every(({ ok }) => !ok)) process.exitCode = 1;
    });
}

async function measureWithProgress(flags: Flags): Promise<MeasureResult> {
  const options: { -readonly [Key in keyof MeasureOptions]: MeasureOptions[Key] } = { layout: flags.layout };
  if (flags.trace !== undefined) options.trace = flags.trace === '-' ? process.stdin : flags.trace;
  if (flags.workload !== undefined) options.workload = flags.workload;
  else if (flags.heap !== undefined) options.workload = 'growth';
  if (flags.heap !== undefined) options.heapBytes = flags.heap;
  // measure() itself refuses words that are no policy, naming those that are.
  if (flags.policy !== undefined) options.policies = flags.policy as Policy[];

  if (!process.stderr.isTTY) return measure(options);
  const bar = new SingleBar({
    format: '{policy} {bar} {percentage} %',
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(100, 0, { policy: 'start' });
  options.onProgress = (policy, done) => bar.update(Math.floor(done * 100), { policy: policy.padEnd(10) });
  try {
    return await measure(options);
  } finally {
    bar.stop();
  }
}

/** Columns of workloads that run on a Go heap. */
const HEAP_HEAD = ['HeapSys', 'HeapInuse', 'HeapReleased'];
const HEAD = [
  'policy',
  'reserved',
  'committed',
  'OS-counted',
  'resident',
  'committed/resident',
  'VIRT',
  'RSS',
  'commit charge',
];

/** The result as text for a terminal, with a newline at the end. */
export function formatResult(result: MeasureResult): string {
  const heap = Math.max(...result.policies.map(({ final }) => final.heapBytes));
  const subject = result.trace === null ? `${result.workload} workload` : printable(basename(result.trace));
  const rows = result.policies.map(({ policy, ok, final }) => [
    ok ? policy : `${policy} (failed)`,
    humanBytes(final.reservedBytes),
    humanBytes(final.committedBytes),
    humanBytes(final.osCommittedBytes),
    humanBytes(final.residentBytes),
    final.residentBytes > 0 ? (final.committedBytes / final.residentBytes).toFixed(2) : '–',
    humanBytes(final.processVirtualBytes),
    humanBytes(final.processResidentBytes),
    humanBytes(final.processCommitBytes),
    ...heapColumns(final),
  ]);
  const onHeap = result.policies.some(({ final }) => final.goHeap !== undefined);
  const lines = [
    `${subject}: ${humanBytes(heap)} of heap, layout ${result.layout}, pages of ${humanBytes(result.pageSizeBytes)}`,
    '',
    plainTable(onHeap ? [...HEAD, ...HEAP_HEAD] : HEAD, rows),
    '',
    `Shadow: reserved to resident. Process: VIRT, RSS and commit charge.${onHeap ? ' Go heap: the rest.' : ''}`,
    ...result.policies.flatMap(failure),
  ];
  return `${lines.join('\n')}\n`;
}

function heapColumns({ goHeap }: Sample): string[] {
  if (goHeap === undefined) return [];
  return [goHeap.heapSysBytes, goHeap.heapInuseBytes, goHeap.heapReleasedBytes].map(humanBytes);
}

function failure({ policy, error }: PolicyResult): string[] {
  return error === null ? [] : ['', `${policy} failed: ${error.code}`, `  ${error.message}`];
}
