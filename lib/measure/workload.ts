/**
 * What is done to a shadow while it is measured: a workload runs step by step, so that samples can be taken between.
 */

import type { Shadow } from '../shadow/shadow.js';
import type { CellWriter } from './cell-writer.js';

/** What a workload acts on. */
export interface Subject {
  readonly shadow: Shadow;
  readonly cells: CellWriter;
}

/** What a Go heap says of itself, by MemStats: what a workload that runs on one shows beside the shadow. */
export interface GoHeapSample {
  /** Obtained from the operating system. */
  readonly heapSysBytes: number;
  /** In spans in use. */
  readonly heapInuseBytes: number;
  /** Given back to the operating system. */
  readonly heapReleasedBytes: number;
}

export interface Workload {
  /** Does all of it, yielding after each step how far it has come, from 0 to 1, never falling. */
  run(subject: Subject): AsyncIterable<number> | Iterable<number>;
  /** The heap that it runs on, if it runs on one. */
  goHeap?(): GoHeapSample | undefined;
  /** Gives back what it still holds. Called once, after the last sample. */
  close?(): void;
}
