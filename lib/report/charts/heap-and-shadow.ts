/**
 * Heap against shadow: how much shadow each policy has committed when the heap has grown so far.
 */

import type { PolicyResult } from '../../measure/experiment.js';
import type { MeasureResult } from '../../measure/measure.js';
import { humanBytes, linearExtent } from '../bytes.js';
import type { Chart } from '../chart.js';
import { type Line, lineChart } from './lines.js';

/** How lines that run together are told apart: `unreserved` and `lazy` commit the same. */
const STROKES = { eager: 'solid', unreserved: 'pale', lazy: 'thin', touch: 'solid' } as const;

/** The chart; undefined if no policy has come to a heap. */
export function heapAndShadow({ policies }: MeasureResult): Chart | undefined {
  const measured = policies.filter(({ samples }) => samples.some(({ heapBytes }) => heapBytes > 0));
  const last = measured.at(-1);
  if (last === undefined) return undefined;
  const [shown, beyond] = onScale(measured);
  const lines: Line[] = shown.map(({ policy, samples, final }) => ({
    label: `${policy} ${humanBytes(final.committedBytes)}`,
    colour: policy,
    stroke: STROKES[policy],
    points: samples.map(({ heapBytes, committedBytes }) => [heapBytes, committedBytes]),
  }));
  // Under every policy the same pages are touched.
  lines.push({
    label: `resident ${humanBytes(last.final.residentBytes)}`,
    colour: 'text',
    stroke: 'dotted',
    points: last.samples.map(({ heapBytes, residentBytes }) => [heapBytes, residentBytes]),
  });
  const most = Math.max(...measured.flatMap(({ samples }) => samples.map(({ heapBytes }) => heapBytes)));
  const y = linearExtent(lines.flatMap(({ points }) => points.map(([, bytes]) => bytes)));
  return lineChart({
    title: 'Shadow committed, against heap mapped',
    description: [
      `With ${humanBytes(last.final.heapBytes)} of heap mapped,`,
      `${shown.map(({ policy, final }) => `${policy} has ${humanBytes(final.committedBytes)} of shadow committed`).join(', ')};`,
      `${humanBytes(last.final.residentBytes)} are resident.`,
    ].join(' '),
    note: beyond
      .map(
        ({ policy, final }) =>
          `${policy} has ${humanBytes(final.committedBytes)} committed throughout, beyond this scale.`,
      )
      .join(' '),
    x: { max: most, step: linearExtent([most]).step, format: (bytes) => humanBytes(Math.round(bytes)) },
    y,
    lines,
  });
}

/** Which policies one linear scale can show, and which commit from the start more than those ever do. */
function onScale(policies: readonly PolicyResult[]): [PolicyResult[], PolicyResult[]] {
  const least = ({ samples }: PolicyResult) =>
    Math.min(...samples.map(({ committedBytes }) => committedBytes));
  const most = ({ samples }: PolicyResult) =>
    Math.max(...samples.map(({ committedBytes }) => committedBytes));
  const beyond = policies.filter((policy) =>
    policies.some((other) => other !== policy && least(policy) > 4 * most(other)),
  );
  return [policies.filter((policy) => !beyond.includes(policy)), beyond];
}
