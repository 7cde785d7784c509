/**
 * Reserved, committed and resident at the end, the policies one below the other, and how many times more is committed
 * than used.
 */

import type { LineSeriesOption } from 'echarts/charts';
import type { MeasureResult } from '../../measure/measure.js';
import { humanBytes, LOG_BASE, logExtent } from '../bytes.js';
import { BYTES_AXIS, type Chart, drawn, FONT_SIZE, titled } from '../chart.js';
import { colour, FONT } from '../theme.js';

const HEIGHT = 260;
const TITLE = 'Committed for each byte that is resident';
/** Side of a mark. */
const MARK = 13;

/** The chart; undefined if nothing is resident under any policy. */
export function atTheEnd({ policies }: MeasureResult): Chart | undefined {
  const rows = policies.filter(({ final }) => final.residentBytes > 0);
  if (rows.length === 0) return undefined;
  const times = rows.map(({ final }) => ratio(final.committedBytes / final.residentBytes));
  const sizes = rows.flatMap(({ final }) => [final.reservedBytes, final.committedBytes, final.residentBytes]);
  const series = rows.map(({ policy, final }, row): LineSeriesOption => {
    const hollow = { color: colour('background'), borderColor: colour(policy), borderWidth: 2 };
    return {
      type: 'line',
      silent: true,
      emphasis: { disabled: true },
      lineStyle: { color: colour(policy), width: 2, opacity: 0.5 },
      data: [
        { value: [final.reservedBytes, row], symbol: 'circle', symbolSize: MARK, itemStyle: hollow },
        { value: [final.committedBytes, row], symbol: 'rect', symbolSize: MARK - 2, itemStyle: hollow },
        {
          value: [final.residentBytes, row],
          symbol: 'circle',
          symbolSize: MARK - 5,
          itemStyle: { color: colour(policy), borderWidth: 0 },
        },
      ],
      showSymbol: true,
    };
  });
  const sentences = rows.map(
    ({ policy, final }, row) =>
      `${policy}: ${humanBytes(final.reservedBytes)} reserved, ${humanBytes(final.committedBytes)} committed, ` +
      `${humanBytes(final.residentBytes)} resident; ${times[row]} times as much committed as resident.`,
  );
  return drawn({ title: TITLE, description: sentences.join(' ') }, HEIGHT, {
    title: titled(TITLE, {
      note: '○ reserved   □ committed   ● resident',
    }),
    grid: { left: 92, right: 80, top: 52, bottom: 26, outerBoundsMode: 'none' },
    xAxis: { ...BYTES_AXIS, type: 'log', logBase: LOG_BASE, ...logExtent(sizes) },
    yAxis: [
      categories(
        rows.map(({ policy }) => policy),
        'left',
      ),
      categories(
        times.map((text) => `${text} ×`),
        'right',
      ),
    ],
    series,
  });
}

function categories(data: readonly string[], position: 'left' | 'right') {
  return {
    type: 'category' as const,
    inverse: true,
    position,
    data: [...data],
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: { color: colour('text'), fontSize: FONT_SIZE, fontFamily: FONT, margin: 14 },
  };
}

/** `1.00`, `76.7`, `1,528`, `2.5M`: what fits beside the chart. */
function ratio(value: number): string {
  if (value < 10) return value.toFixed(2);
  return value.toLocaleString('en-US', {
    maximumFractionDigits: value < 1000 || value >= 1e5 ? 1 : 0,
    notation: value < 1e5 ? 'standard' : 'compact',
  });
}
