/**
 * Makes the operating system refuse, by the addon's seam for it (native/fault_injection.h).
 */
import { addon, FaultVerb } from '../../lib/native/addon.js';

export type FaultVerbName = keyof typeof FaultVerb;
export const FAULT_VERBS = Object.keys(FaultVerb) as FaultVerbName[];

/** Which calls are refused: `count` of those of these verbs, from the `first` on, counted from 0. */
export interface FaultPlan {
  readonly verbs: readonly FaultVerbName[];
  readonly first: number;
  readonly count: number;
  readonly code: number;
}

/** Codes of this system that mean: no memory; taken; something else. */
export const CODES =
  process.platform === 'win32'
    ? { outOfMemory: 1455, addressTaken: 487, other: 6 }
    : { outOfMemory: 12, addressTaken: process.platform === 'linux' ? 17 : 17, other: 1 };

/** As many as there are. */
export const ALL_CALLS = 2 ** 53 - 1;

export interface Outcome {
  /** What the action threw, or undefined. */
  readonly error: unknown;
  /** Calls of the plan's verbs, refused ones included. */
  readonly calls: number;
}

/** Runs an action under a plan. The plan has ended when this returns. */
export function underFaults({ verbs, first, count, code }: FaultPlan, action: () => unknown): Outcome {
  const native = addon();
  native.injectFaults(
    verbs.map((verb) => FaultVerb[verb]),
    first,
    count,
    code,
  );
  let error: unknown;
  try {
    action();
  } catch (thrown) {
    error = thrown;
  }
  return { error, calls: native.endFaults() };
}

/** How many calls of a verb an action makes when nothing is refused. */
export function callsOf(verb: FaultVerbName, action: () => unknown): number {
  const { error, calls } = underFaults({ verbs: [verb], first: 0, count: 0, code: 0 }, action);
  if (error !== undefined) throw error;
  return calls;
}
