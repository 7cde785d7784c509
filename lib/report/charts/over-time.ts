/**
 * Reserved, committed and resident over time: a chart for each policy, all with the same axis of sizes, each with
 * its own of time.
 */

import type { PolicyResult } from '../../measure/experiment.js';
import type { MeasureResult } from '../../measure/measure.js';
import { humanBytes, logExtent } from '../bytes.js';
import type { Chart } from '../chart.js';
import { lineChart } from './lines.js';

/** One chart for each policy that has samples, in the order of the result. */
export function overTime({ policies }: MeasureResult): Chart[] {
  const measured = policies.filter(({ samples }) => samples.length > 0);
  const samples = measured.flatMap((policy) => policy.samples);
  const y = logExtent(
    samples.flatMap(({ reservedBytes, committedBytes, residentBytes }) => [
      reservedBytes,
      committedBytes,
      residentBytes,
    ]),
  );
  return measured.map((result) => panel(result, y));
}

function panel({ policy, ok, samples, final }: PolicyResult, y: ReturnType<typeof logExtent>): Chart {
  const x = timeScale(final.atMs);
  const points = (field: 'reservedBytes' | 'committedBytes' | 'residentBytes') =>
    samples.map((sample) => [sample.atMs, sample[field]] as const);
  const [reserved, committed, resident] = [
    final.reservedBytes,
    final.committedBytes,
    final.residentBytes,
  ].map(humanBytes);
  return lineChart({
    title: `Shadow over time: ${policy}${ok ? '' : ' (failed)'}`,
    policy,
    note: 'logarithmic: each line is 32 times the one below',
    description: `After ${x.format(final.atMs)} ${reserved} of shadow are reserved, ${committed} committed, ${resident} resident.`,
    x,
    y,
    lines: [
      { label: `${reserved} reserved`, colour: 'muted', stroke: 'dotted', points: points('reservedBytes') },
      { label: `${committed} committed`, colour: policy, stroke: 'pale', points: points('committedBytes') },
      { label: `${resident} resident`, colour: policy, stroke: 'thin', points: points('residentBytes') },
    ],
  });
}

/** An axis of time from zero, in milliseconds, in steps of 1, 2 or 5. */
function timeScale(mostMs: number): { max: number; step: number; format: (ms: number) => string } {
  const rough = Math.max(1, mostMs) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1);
  const seconds = step >= 100;
  const format = (ms: number) => (seconds ? `${Number((ms / 1000).toFixed(1))} s` : `${Math.round(ms)} ms`);
  return { max: mostMs, step, format };
}
