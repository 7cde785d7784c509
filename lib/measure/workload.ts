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

export interface Workload {
  /** Does all of it, yielding after each step how far it has come, from 0 to 1, never falling. */
  run(subject: Subject): AsyncIterable<number> | Iterable<number>;
}
