/**
 * What all charts have in common: size, type, axes, and how an option becomes SVG text.
 */

import type { CustomSeriesOption, LineSeriesOption } from 'echarts/charts';
import type { GridComponentOption, TitleComponentOption } from 'echarts/components';
import type { ComposeOption } from 'echarts/core';
import { CustomChart, GridComponent, init, LineChart, SVGRenderer, TitleComponent, use } from './echarts.js';
import { humanBytes } from './bytes.js';
import { escaped } from './html.js';
import type { Policy } from '../shadow/policies.js';
import { colour, FONT } from './theme.js';

export type ChartOption = ComposeOption<
  CustomSeriesOption | LineSeriesOption | GridComponentOption | TitleComponentOption
>;

/** A chart, drawn. */
export interface Chart {
  /** What it is of, in a few words. */
  readonly title: string;
  /** What it shows, in sentences, for who cannot see it. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** An `<svg>` element whose colours are the variables of theme.ts. */
  readonly svg: string;
}

/** All charts are so wide: two beside each other on a desk, one on a phone, where text of 13 is still 10. */
export const CHART_WIDTH = 420;
export const FONT_SIZE = 13;

use([CustomChart, GridComponent, LineChart, SVGRenderer, TitleComponent]);

/**
 * The title of a chart, at its upper left, and a line below it that says how to read it.
 * @param policy whose chart it is: its colour stands before the title, which has to be readable and so is of text's
 */
export function titled(
  text: string,
  { policy, note = '' }: { readonly policy?: Policy; readonly note?: string } = {},
): TitleComponentOption {
  const type = { fontSize: FONT_SIZE + 1, fontWeight: 600, fontFamily: FONT } as const;
  return {
    text: policy === undefined ? text : `{swatch|■} ${text}`,
    subtext: note,
    left: 0,
    top: 0,
    padding: 0,
    itemGap: 6,
    textStyle: {
      color: colour('text'),
      ...type,
      ...(policy && { rich: { swatch: { ...type, color: colour(policy) } } }),
    },
    subtextStyle: { color: colour('muted'), fontSize: FONT_SIZE - 1, fontFamily: FONT },
  };
}

/** The look of an axis. */
export const AXIS = {
  axisLabel: { color: colour('muted'), fontSize: FONT_SIZE - 1, fontFamily: FONT },
  axisLine: { show: true, lineStyle: { color: colour('grid') } },
  axisTick: { show: false },
  splitLine: { show: true, lineStyle: { color: colour('grid'), width: 1 } },
} as const;

/** An axis of sizes. */
export const BYTES_AXIS = {
  ...AXIS,
  // Steps of a logarithmic axis come as 1073741823.9999999.
  axisLabel: { ...AXIS.axisLabel, formatter: (bytes: number) => humanBytes(Math.round(bytes)) },
};

/** What a chart is, in words. */
export interface Words {
  readonly title: string;
  readonly description: string;
}

/** Draws. Text from recordings never comes here: ECharts escapes text, but no attributes. */
export function drawn({ title, description }: Words, height: number, option: ChartOption): Chart {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: CHART_WIDTH, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: FONT }, ...option });
    const svg = chart.renderToSVGString({ useViewBox: true });
    const named = svg.replace(
      '<svg ',
      `<svg role="img" aria-label="${escaped(`${title}. ${description}`)}" `,
    );
    return { title, description, width: CHART_WIDTH, height, svg: named };
  } finally {
    // It would keep the process alive.
    chart.dispose();
  }
}
