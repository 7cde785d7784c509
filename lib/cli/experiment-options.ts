/**
 * The options that say what to measure, which several commands have.
 */

import { type Command, Option } from 'commander';
import type { MeasureOptions } from '../measure/measure.js';
import { WORKLOAD_NAMES } from '../measure/workloads.js';
import { DEFAULT_LAYOUT, LAYOUT_NAMES } from '../shadow/layouts.js';
import { POLICIES, type Policy } from '../shadow/policies.js';
import { parseList, parseSize } from './options.js';

/** Options that change how an experiment runs. */
export interface WhereFlags {
  readonly policy?: string[];
  readonly layout: string;
}

/** … and what runs. */
export interface ExperimentFlags extends WhereFlags {
  readonly trace?: string;
  readonly workload?: string;
  readonly heap?: number;
}

/** Adds `--policy` and `--layout`. */
export function addWhereOptions(command: Command): Command {
  return command
    .option('--policy <list>', `only these, separated by commas: ${POLICIES.join(', ')}`, parseList)
    .addOption(
      new Option('--layout <name>', 'where the shadow lies').choices(LAYOUT_NAMES).default(DEFAULT_LAYOUT),
    );
}

/** Adds them, and `--trace`, `--workload` and `--heap`. */
export function addExperimentOptions(command: Command): Command {
  command
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
    );
  return addWhereOptions(command);
}

/** What the options mean to `measure`, which refuses words that are no policy, naming those that are. */
export function experimentOf({ trace, workload, heap, policy, layout }: ExperimentFlags): MeasureOptions {
  const chosen = workload ?? (heap === undefined ? undefined : 'growth');
  return {
    layout,
    ...(trace !== undefined && { trace: trace === '-' ? process.stdin : trace }),
    ...(chosen !== undefined && { workload: chosen }),
    ...(heap !== undefined && { heapBytes: heap }),
    ...(policy !== undefined && { policies: policy as Policy[] }),
  };
}
