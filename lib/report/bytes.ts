/**
 * Sizes on pictures and pages: binary units, and axes that end and step at round numbers of them.
 */

import prettyBytes from 'pretty-bytes';

/** Bytes for a person: `2.1 GiB`; `–` where there is no such number. */
export function humanBytes(bytes: number | null): string {
  return bytes === null ? '–' : prettyBytes(bytes, { binary: true, maximumFractionDigits: 1 });
}

/** Steps of a logarithmic axis: 1 MiB, 32 MiB, 1 GiB, 32 GiB, 1 TiB. */
export const LOG_BASE = 32;

/** The ends of a logarithmic axis that holds all these sizes; zeros have no place on it. */
export function logExtent(sizes: readonly number[]): { readonly min: number; readonly max: number } {
  const logs = sizes.filter((size) => size > 0).map((size) => Math.log2(size) / Math.log2(LOG_BASE));
  const min = Math.floor(Math.min(...logs));
  const max = Math.max(Math.ceil(Math.max(...logs)), min + 1);
  return logs.length === 0 ? { min: 1, max: LOG_BASE } : { min: LOG_BASE ** min, max: LOG_BASE ** max };
}

/** The end and the step of an axis from zero that holds all these sizes, in four to eight steps of a power of two. */
export function linearExtent(sizes: readonly number[]): { readonly max: number; readonly step: number } {
  const most = Math.max(1, ...sizes);
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(most)) - 2);
  return { max: Math.ceil(most / step) * step, step };
}
