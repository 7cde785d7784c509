/**
 * What a replay in shares says to its workers, and they to it.
 *
 * Batches lie in a ring of shared memory; a message only says where. Each batch is answered, in order.
 */
import type { LazyShadowErrorCode, LazyShadowErrorDetails } from '../native/errors.js';
import type { GoraceOptions } from '../race/gorace.js';
import type { RaceReport } from '../race/report.js';

/** What a worker is started with. */
export interface ShareOrder {
  /** The recording's name, for messages. */
  readonly name: string;
  /** The shadow that all work on: Shadow.attach takes it. */
  readonly shadowId: number;
  /** Which share, of how many. */
  readonly index: number;
  readonly count: number;
  readonly gorace: GoraceOptions;
  /** The places of batches, `wordsPerPlace` 32-bit words each. */
  readonly ring: SharedArrayBuffer;
  readonly wordsPerPlace: number;
}

/** To a worker: a batch to check; or that there are no more. */
export type ToShare =
  | { readonly kind: 'batch'; readonly place: number; readonly firstEvent: number; readonly count: number }
  | { readonly kind: 'end' };

/** A race that might be told: ShareSuppression let it through. */
export interface FoundRace {
  /** The event that found it, counted from the recording's first. */
  readonly event: number;
  readonly report: RaceReport;
}

/** From a worker: what it found in a batch; or why it stopped, and where; or all of its results. */
export type FromShare =
  | { readonly kind: 'batch'; readonly found: readonly FoundRace[] }
  | {
      readonly kind: 'failed';
      readonly event: number;
      readonly code: LazyShadowErrorCode;
      readonly message: string;
      readonly details: LazyShadowErrorDetails;
    }
  | { readonly kind: 'end'; readonly goroutines: number; readonly racyAddresses: Float64Array };
