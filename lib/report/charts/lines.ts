/**
 * Lines over a common axis, each named at its end, so that no legend has to be looked up and no colour told from another.
 */

import type { LineSeriesOption } from 'echarts/charts';
import { LOG_BASE } from '../bytes.js';
import { AXIS, BYTES_AXIS, type Chart, drawn, FONT_SIZE, titled, type Words } from '../chart.js';
import type { Policy } from '../../shadow/policies.js';
import { colour, FONT, type Palette } from '../theme.js';

/** One line. */
export interface Line {
  /** What stands at its end. */
  readonly label: string;
  readonly colour: keyof Palette;
  readonly points: readonly (readonly [number, number])[];
  /** `pale` is a broad line for others to lie on, `thin` one to lie on it: both are seen where they run together. */
  readonly stroke: 'solid' | 'dotted' | 'dashed' | 'pale' | 'thin';
}

interface AxisScale {
  readonly max: number;
  readonly step: number;
  readonly format: (value: number) => string;
}

export interface LinesOptions extends Words {
  /** A line below the title. */
  readonly note?: string;
  /** Whose chart it is, if it is one policy's. */
  readonly policy?: Policy;
  readonly lines: readonly Line[];
  readonly x: AxisScale;
  /** Logarithmic if it has a `min`: it is above zero. */
  readonly y:
    { readonly min: number; readonly max: number } | { readonly max: number; readonly step: number };
}

const HEIGHT = 260;
const GRID = { left: 56, right: 142, top: 46, bottom: 26 } as const;
/** Between two labels. */
const LABEL_LEADING = FONT_SIZE + 3;

const STROKES = {
  solid: { width: 2.5 },
  dashed: { width: 2, type: [7, 4] },
  dotted: { width: 2, type: [2, 3] },
  pale: { width: 7, opacity: 0.4 },
  thin: { width: 2 },
} satisfies Record<Line['stroke'], LineSeriesOption['lineStyle']>;

/** Draws lines. */
export function lineChart({ policy, note = '', lines, x, y, ...words }: LinesOptions): Chart {
  const log = 'min' in y;
  const shown = lines.map((line) => ({
    ...line,
    // A logarithmic axis has no zero: what is nothing yet is not drawn.
    points: line.points.filter(([, value]) => !log || value >= y.min),
  }));
  const offsets = labelOffsets(
    shown,
    log ? (value) => Math.log(value / y.min) / Math.log(y.max / y.min) : (value) => value / y.max,
  );
  return drawn(words, HEIGHT, {
    title: titled(words.title, { note, ...(policy && { policy }) }),
    grid: { ...GRID, outerBoundsMode: 'none' },
    xAxis: {
      ...AXIS,
      type: 'value',
      min: 0,
      max: x.max,
      interval: x.step,
      splitLine: { show: false },
      // The axis ends where the lines do, which is no round number.
      axisLabel: { ...AXIS.axisLabel, formatter: x.format, showMaxLabel: false },
    },
    yAxis: {
      ...BYTES_AXIS,
      axisLine: { show: false },
      ...(log
        ? { type: 'log', logBase: LOG_BASE, min: y.min, max: y.max }
        : { type: 'value', min: 0, max: y.max, interval: y.step }),
    },
    series: shown.map((line, i): LineSeriesOption => ({
      type: 'line',
      data: line.points.map(([at, value]) => [at, value]),
      symbol: 'none',
      silent: true,
      emphasis: { disabled: true },
      lineStyle: { color: colour(line.colour), cap: 'butt', ...STROKES[line.stroke] },
      endLabel: {
        show: true,
        formatter: line.label,
        color: colour('text'),
        fontSize: FONT_SIZE - 1,
        fontFamily: FONT,
        distance: 6,
        offset: [0, offsets[i] ?? 0],
      },
    })),
  });
}

/** How far each line's label is moved from the line's end, in pixels down, so that labels do not overlap. */
function labelOffsets(lines: readonly Line[], heightOf: (value: number) => number): number[] {
  const plotHeight = HEIGHT - GRID.top - GRID.bottom;
  const ends = lines.map(({ points }, i) => ({ i, y: (1 - heightOf(points.at(-1)?.[1] ?? 0)) * plotHeight }));
  ends.sort((a, b) => a.y - b.y || a.i - b.i);
  const offsets: number[] = new Array(lines.length).fill(0);
  let free = Number.NEGATIVE_INFINITY;
  const placed = ends.map(({ i, y }) => {
    const at = Math.max(y, free);
    free = at + LABEL_LEADING;
    return { i, y, at };
  });
  // What was pushed below the plot is moved up again, with those above it.
  let limit = plotHeight;
  for (const end of placed.reverse()) {
    end.at = Math.min(end.at, limit);
    limit = end.at - LABEL_LEADING;
    offsets[end.i] = end.at - end.y;
  }
  return offsets;
}
