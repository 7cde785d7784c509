/**
 * Somebody who makes random calls to one part of the public API, and knows what they must lead to.
 */
import type { Mapping } from '../../support/proc.js';
import type { Random } from '../../support/random.js';
import type { Calls } from './calls.js';

export interface World {
  readonly random: Random;
  readonly calls: Calls;
  /** Which of the addresses set aside for tests are this thread's: 0, 1, … */
  readonly thread: number;
}

export interface Actor {
  /** Makes a call or two. */
  step(): void | Promise<void>;
  /** Holds everything against the model, and against what the kernel itself says (nothing where there is no /proc). */
  verify(kernel: readonly Mapping[]): void;
  /** Releases everything. */
  end(): void;
}
