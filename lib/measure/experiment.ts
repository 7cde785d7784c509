/**
 * One policy, one workload, in this process: makes the shadow, runs the workload, samples as it goes.
 *
 * Never throws for what the machine refuses or the recording lacks: that is a result, with the samples up to there.
 */

import { setImmediate as eventLoop, setTimeout as sleep } from 'node:timers/promises';
import { LazyShadowError } from '../native/errors.js';
import type { Layout } from '../shadow/layouts.js';
import type { Policy } from '../shadow/policies.js';
import { Shadow, windowsOf } from '../shadow/shadow.js';
import { CellWriter } from './cell-writer.js';
import { type AddressMap, addressMap } from './map.js';
import { type Sample, takeSample } from './sample.js';
import type { Workload } from './workload.js';

/** Why a policy came to nothing. */
export interface Failure {
  /** A word to compare. */
  readonly code: string;
  /** A sentence for a person. */
  readonly message: string;
}

/** What came of one policy. */
export interface PolicyResult {
  /** The policy. */
  readonly policy: Policy;
  /** Whether the workload ran to its end. */
  readonly ok: boolean;
  /** Why it did not; null if it did. `code` is a LazyShadowError's, or that of a lost process, ERR_PROCESS_LOST. */
  readonly error: Failure | null;
  /** In the order they were taken; the last is `final`. */
  readonly samples: readonly Sample[];
  /** The state at the end, or where the policy failed. */
  readonly final: Sample;
  /** Where the shadow lies at the end, if that was asked for, anything is mapped, and the workload ran to its end. */
  readonly map?: AddressMap;
}

export interface ExperimentOptions {
  readonly policy: Policy;
  readonly layout: string | Layout;
  readonly workload: Workload;
  /** Called as the workload proceeds, with the part done, from 0 to 1. */
  readonly onProgress?: (done: number) => void;
  /** Called with each sample as it is taken. */
  readonly onSample?: (sample: Sample) => void;
  /** Whether the result has a map. */
  readonly map?: boolean;
  /** The workload is slowed down to take so long, for somebody who watches. Default: it is not. */
  readonly durationMs?: number;
}

/** Samples are taken each time another of so many equal parts of the workload is done … */
const SAMPLE_MARKS = 64;
/** … but after this many, only while sampling takes at most this part of the time. */
const SURE_SAMPLES = 8;
const MOST_OF_THE_TIME = 0.5;

export async function runExperiment(options: ExperimentOptions): Promise<PolicyResult> {
  const { policy, layout, workload, onProgress, durationMs = 0 } = options;
  const startedAt = performance.now();
  const samples: Sample[] = [];
  let sampling = 0;
  let shadow: Shadow | undefined;
  const sample = (): Sample => {
    const before = performance.now();
    const taken = takeSample(shadow, startedAt, workload.goHeap?.());
    sampling += performance.now() - before;
    samples.push(taken);
    options.onSample?.(taken);
    return taken;
  };
  const result = (failure: unknown): PolicyResult => {
    const error = failure === undefined ? null : inWords(failure);
    const map = options.map === true && error === null && shadow !== undefined && addressMap(shadow);
    return { policy, ok: error === null, error, samples, final: sample(), ...(map && { map }) };
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
      const early = done * durationMs - (performance.now() - startedAt);
      if (early > 0) await sleep(early);
      // A built-in workload never waits: without this, the process that measures would not learn that its parent died.
      await eventLoop();
      const rare = samples.length < SURE_SAMPLES || mark % (SAMPLE_MARKS / SURE_SAMPLES) === 0;
      if (rare || sampling < (performance.now() - startedAt) * MOST_OF_THE_TIME) sample();
    }
    onProgress?.(1);
    return result(undefined);
  } catch (error) {
    return result(error);
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
