/**
 * What a replay in parts says to its workers, and they to it.
 *
 * A worker gets its order, and answers when its part is done; then it is asked to settle what later parts leave open, and
 * answers each time.
 */
import type { MemoryStats } from '../native/addon.js';
import type { Unsettled } from '../race/unsettled.js';
import type { Layout } from '../shadow/layouts.js';
import type { Policy } from '../shadow/policies.js';
import type { LentRecording } from './reader.js';

/** What a worker is started with. */
export interface PartOrder {
  readonly recording: LentRecording;
  readonly layout: Layout;
  readonly policy: Policy;
  /** The part's events: from number `from` up to `end`. */
  readonly from: number;
  readonly end: number;
}

/** To a worker: to be settled with its part. */
export type ToPart = Unsettled;

/** From a worker. */
export type FromPart =
  | { readonly kind: 'progress'; readonly events: number }
  /** The part is without races and faults, but for what it leaves open. */
  | {
      readonly kind: 'done';
      readonly goroutines: number;
      readonly memory: MemoryStats;
      readonly unsettled: Unsettled | undefined;
    }
  /** What was to be settled is, but for what is left open. */
  | { readonly kind: 'settled'; readonly unsettled: Unsettled }
  /** There is a race or a fault, or something that a part cannot tell. */
  | { readonly kind: 'stopped' };
