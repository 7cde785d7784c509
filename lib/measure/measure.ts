/**
 * The experiment of the project: one workload under each policy, each in a process of its own, so that nothing of one
 * is in the numbers of another.
 *
 * A recording from a path is read by each process in turn. One from a stream can be read only once: then all the
 * processes run at once, and each is fed the same bytes.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { packageRoot } from '../native/addon.js';
import { checkedSize, oneOf } from '../native/arguments.js';
import { LazyShadowError } from '../native/errors.js';
import { geometry, processMemory } from '../native/system.js';
import { checkedLayout, DEFAULT_LAYOUT, type Layout, layoutByName } from '../shadow/layouts.js';
import { POLICIES, type Policy } from '../shadow/policies.js';
import { WORKLOAD_NAMES } from './workloads.js';
import type { PolicyResult } from './experiment.js';
import type { Sample } from './sample.js';

/** What to measure; all of it has a default. */
export interface MeasureOptions {
  /** A recording: a path (`.trc`, or packed with gzip), or a stream of its bytes. */
  readonly trace?: string | Readable;
  /** Or a built-in workload, one of `WORKLOAD_NAMES`, sized by `heapBytes`. */
  readonly workload?: string;
  /** Heap of a built-in workload at its largest. Default 256 MiB, whose shadow is a GiB under each policy. */
  readonly heapBytes?: number;
  /** Default: all four, in the order of `POLICIES`. */
  readonly policies?: readonly Policy[];
  /** Name of a built-in layout, or a layout. Default `node-x4`. */
  readonly layout?: string | Layout;
  /** Whether each policy's result has a map of where its shadow lies. Default false. */
  readonly map?: boolean;
  /** All policies at the same time, instead of one after the other. Default: only for a stream, which is read once. */
  readonly atOnce?: boolean;
  /** Each policy's workload is slowed down to take about so long, for somebody who watches. Default: it is not. */
  readonly durationMs?: number;
  /** Called as a policy's workload proceeds, with the part done, from 0 to 1. */
  readonly onProgress?: (policy: Policy, done: number) => void;
  /** Called with each sample as it is taken. */
  readonly onSample?: (policy: Policy, sample: Sample) => void;
}

/** What `lazyshadow measure --json` prints. */
export interface MeasureResult {
  /** Path of the recording, `-` for a stream, or null for a built-in workload. */
  readonly trace: string | null;
  /** `trace`, or the name of the built-in workload. */
  readonly workload: string;
  /** Name of the layout. */
  readonly layout: string;
  /** Of the machine that it was measured on. */
  readonly pageSizeBytes: number;
  /** In the order in which they were asked for. */
  readonly policies: readonly PolicyResult[];
}

/** What the child process (child.ts) is told … */
export interface Task {
  readonly policy: Policy;
  readonly layout: string | Layout;
  readonly workload: string;
  readonly heapBytes: number;
  /** A path, `-` for the child's standard input, or null. */
  readonly trace: string | null;
  readonly map: boolean;
  readonly durationMs: number;
}
/** … and what it tells. */
export type Report =
  { readonly done: number } | { readonly sample: Sample } | { readonly result: PolicyResult };

/** Four times as much shadow, and all policies at once under `top`: a laptop has 4 GiB to spare. */
const DEFAULT_HEAP_BYTES = 2 ** 28;

/** The recording that the package ships: Go's heap grows to 768 MiB of blocks that are touched only at their ends. */
export function shippedRecording(): string {
  return join(packageRoot(), 'data', 'heapgrow.trc.gz');
}

/**
 * Measures. With neither `trace` nor `workload`, the shipped recording.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT for unknown policies, layouts and workloads. What the machine refuses to
 *   one policy, and a recording that cannot be read, are rows of the result.
 */
export async function measure(options: MeasureOptions = {}): Promise<MeasureResult> {
  const verb = 'measure';
  if (options.trace !== undefined && options.workload !== undefined) {
    throw new LazyShadowError('ERR_INVALID_ARGUMENT', `${verb}: give a trace or a workload, not both.`, {
      verb,
    });
  }
  const policies = (options.policies ?? POLICIES).map((policy) => oneOf(verb, 'policy', policy, POLICIES));
  if (policies.length === 0) {
    throw new LazyShadowError('ERR_INVALID_ARGUMENT', `${verb}: give at least one policy.`, { verb });
  }
  const given = options.layout ?? DEFAULT_LAYOUT;
  const layout = typeof given === 'string' ? layoutByName(given) : checkedLayout(given);
  const workload =
    options.workload === undefined ? 'trace' : oneOf(verb, 'workload', options.workload, WORKLOAD_NAMES);
  const heapBytes = checkedSize(verb, options.heapBytes ?? DEFAULT_HEAP_BYTES, undefined, 'heapBytes');
  const source = options.trace ?? (workload === 'trace' ? shippedRecording() : undefined);
  const stream = source === undefined || typeof source === 'string' ? undefined : source;
  const trace = stream ? '-' : ((source as string | undefined) ?? null);

  const { map = false, durationMs = 0 } = options;
  const start = (policy: Policy) =>
    runChild({ policy, layout, workload, heapBytes, trace, map, durationMs }, options);
  const results: PolicyResult[] = [];
  if (stream || options.atOnce === true) {
    const children = policies.map(start);
    if (stream) {
      await feed(
        stream,
        children.map(({ child }) => child),
      );
    }
    for (const { result } of children) results.push(await result);
  } else {
    for (const policy of policies) results.push(await start(policy).result);
  }
  const { pageSizeBytes } = geometry();
  return { trace, workload, layout: layout.name, pageSizeBytes, policies: results };
}

interface RunningChild {
  readonly child: ChildProcess;
  readonly result: Promise<PolicyResult>;
}

function runChild(task: Task, { onProgress, onSample }: MeasureOptions): RunningChild {
  const child = fork(join(packageRoot(), 'dist', 'esm', 'measure', 'child.js'), [], {
    stdio: ['pipe', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  });
  const result = new Promise<PolicyResult>((resolve) => {
    let answer: PolicyResult | undefined;
    child.on('message', (report: Report) => {
      if ('result' in report) answer = report.result;
      else if ('sample' in report) onSample?.(task.policy, report.sample);
      else onProgress?.(task.policy, report.done);
    });
    child.on('error', (error) => resolve(lost(task.policy, error.message)));
    child.on('close', (code, signal) => {
      const ended = () =>
        resolve(answer ?? lost(task.policy, signal ? `killed by ${signal}` : `exited with code ${code}`));
      // Control-C interrupts this process too, which may hear of it after its children have ended.
      if (signal === 'SIGINT') setTimeout(ended, INTERRUPT_MS);
      else ended();
    });
  });
  child.send(task);
  return { child, result };
}

/** How long an interrupt of this process may take after that of a child: many times what a busy machine needs. */
const INTERRUPT_MS = 500;

/** The row of a policy whose process did not live to report: the kernel's out-of-memory killer, or a person. */
function lost(policy: Policy, how: string): PolicyResult {
  const { virtualBytes, residentBytes, commitBytes } = processMemory();
  const error = {
    code: 'ERR_PROCESS_LOST',
    message: `the process that measured this policy was lost: ${how}.`,
  };
  const final = {
    atMs: 0,
    heapBytes: 0,
    reservedBytes: 0,
    committedBytes: 0,
    osCommittedBytes: 0,
    residentBytes: 0,
    processVirtualBytes: virtualBytes,
    processResidentBytes: residentBytes,
    processCommitBytes: commitBytes,
  };
  return { policy, ok: false, error, samples: [], final };
}

/** Gives every child the bytes of the stream, at the pace of the slowest. */
async function feed(stream: Readable, children: readonly ChildProcess[]): Promise<void> {
  const inputs = children.flatMap(({ stdin }) => (stdin ? [stdin] : []));
  // A child that has read enough, or died, closes its end; its result says why.
  for (const input of inputs) input.on('error', () => {});
  for await (const chunk of stream) {
    await Promise.all(
      inputs.map((input) => {
        if (input.destroyed || input.write(chunk)) return undefined;
        return new Promise<void>((resolve) => {
          input.once('drain', resolve);
          input.once('close', resolve);
        });
      }),
    );
  }
  for (const input of inputs) input.end();
}
