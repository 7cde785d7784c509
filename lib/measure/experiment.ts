/**
 * One policy, one workload, in this process: makes the shadow, runs the workload, samples as it goes.
 *
 * Never throws for what the machine refuses or the recording lacks: that is a result, with the samples up to there.
 */

import { setImmediate as eventLoop } from 'node:timers/promises';
import { LazyShadowError } from '../native/errors.js';
import type { Layout } from '../shadow/layouts.js';
import type { Policy } from '../shadow/policies.js';
import { Shadow, windowsOf } from '../shadow/shadow.js';
import { CellWriter } from './cell-writer.js';
import { type Sample, takeSample } from './sample.js';
import type { Workload } from './workload.js';

/** What came of one policy. */
export interface PolicyResult {
  readonly policy: Policy;
  /** Whether the workload ran to its end. */
  readonly ok: boolean;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** In the order they were taken; the last is `final`. */
  readonly samples: readonly Sample[];
  /** The state at the end, or where the policy failed. */
  readonly final: Sample;
}

export interface ExperimentOptions {
  readonly policy: Policy;
  readonly layout: string | Layout;
  readonly workload: Workload;
  /** Called as the workload proceeds, with the part done, from 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

/** Samples are taken each time another of so many equal parts of the workload is done … */
const SAMPLE_MARKS = 64;
/** … but after this many, only while sampling takes at most this part of the time. */
const SURE_SAMPLES = 8;
const MOST_OF_THE_TIME = 0.5;

export async function runExperiment(options: ExperimentOptions): Promise<PolicyResult> {
  const { policy, layout, workload, onProgress } = options;
  const startedAt = performance.now();
  const samples: Sample[] = [];
  let sampling = 0;
  let shadow: Shadow | undefined;
  const sample = (): Sample => {
    const before = performance.now();
    const taken = takeSample(shadow, startedAt, workload.goHeap?.());
    sampling += performance.now() - before;
    samples.push(taken);
    return taken;
  };
  try {
    shadow = new Shadow({ policy, layout });
    sample();
    let mark = 0;
    for await (const done of workload.run({ shadow, cells: new CellWriter(windowsOf(shadow)) })) {
      const reached = Math.floor(done * SAMPLE_MARKS);
      if (reached === mark || done >= 1) continue;
      mark = reached;
      onProgress?.(done);
      // A built-in workload never waits: without this, the process that measures would not learn that its parent died.
      await eventLoop();
      const rare = samples.length < SURE_SAMPLES || mark % (SAMPLE_MARKS / SURE_SAMPLES) === 0;
      if (rare || sampling < (performance.now() - startedAt) * MOST_OF_THE_TIME) sample();
    }
    onProgress?.(1);
    return { policy, ok: true, error: null, samples, final: sample() };
  } catch (error) {
    return { policy, ok: false, error: inWords(error), samples, final: sample() };
  } finally {
    workload.close?.();
    shadow?.release();
  }
}

/** An error as a row of the result can carry it. */
export function inWords(error: unknown): { code: string; message: string } {
  if (error instanceof LazyShadowError) return { code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'ERR_UNEXPECTED';
  return { code, message };
}
