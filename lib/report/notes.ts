/**
 * What a result's numbers alone do not tell, as sentences: the terminal's table and the page have them below it.
 */

import type { PolicyResult } from '../measure/experiment.js';
import { humanBytes } from './bytes.js';

/** A line for each policy that had to join pieces, and so committed what nobody asked for. */
export function mergedNotes(policies: readonly PolicyResult[]): string[] {
  return policies.flatMap(({ policy, final: { mergedBytes } }) =>
    mergedBytes === undefined
      ? []
      : [
          `${policy}: ${humanBytes(mergedBytes)} of what is committed joins pieces, since the system allows no more mappings (vm.max_map_count).`,
        ],
  );
}
