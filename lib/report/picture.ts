/**
 * The charts of a measurement, and the one picture that holds them all.
 */

import type { MeasureResult } from '../measure/measure.js';
import type { Chart } from './chart.js';
import { CHART_WIDTH } from './chart.js';
import { atTheEnd } from './charts/at-the-end.js';
import { mapChart } from './charts/address-map.js';
import { heapAndShadow } from './charts/heap-and-shadow.js';
import { overTime } from './charts/over-time.js';
import { escaped } from './html.js';
import { themeCss } from './theme.js';

/** The charts of a measurement, by what they show. */
export interface Charts {
  readonly overTime: readonly Chart[];
  /** The end of each policy, and the way there by heap. */
  readonly summary: readonly Chart[];
  readonly maps: readonly Chart[];
}

/** Draws all that the result has the numbers for; maps only if it was measured with them. */
export function chartsOf(result: MeasureResult): Charts {
  const summary = [atTheEnd(result), heapAndShadow(result)];
  return {
    overTime: overTime(result),
    summary: summary.filter((chart) => chart !== undefined),
    maps: result.policies.flatMap((policy) =>
      policy.map === undefined ? [] : [mapChart(policy, policy.map)],
    ),
  };
}

const COLUMNS = 2;
const MARGIN = 24;

/** All charts of a measurement in one SVG file, two beside each other, light or dark as its viewer is set. */
export function picture(result: MeasureResult): string {
  const { summary, overTime: times, maps } = chartsOf(result);
  const charts = [...summary, ...times, ...maps];
  const placed: string[] = [];
  let top = MARGIN;
  for (let i = 0; i < charts.length; i += COLUMNS) {
    const row = charts.slice(i, i + COLUMNS);
    row.forEach((chart, column) => {
      const x = MARGIN + column * (CHART_WIDTH + MARGIN);
      placed.push(chart.svg.replace('<svg ', `<svg x="${x}" y="${top}" `));
    });
    top += Math.max(...row.map(({ height }) => height)) + MARGIN;
  }
  const width = COLUMNS * (CHART_WIDTH + MARGIN) + MARGIN;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escaped(charts.map(({ title, description }) => `${title}. ${description}`).join(' '))}" ` +
    `viewBox="0 0 ${width} ${top}" width="${width}" height="${top}"><style>${themeCss('svg')}</style>` +
    `<rect width="100%" height="100%" fill="var(--background)"/>${placed.join('')}</svg>\n`
  );
}
