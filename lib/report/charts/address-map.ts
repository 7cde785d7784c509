/**
 * A map of the shadow's address space under one policy: a cell for each block, address ascending along the rows; its
 * filling says how much of it is committed, the stronger part how much is resident.
 *
 *     ┌────┐ ┌────┐ ┌────┐
 *     │    │ │░░░░│ │    │   reserved, or not even that; all committed, a little of it resident;
 *     └────┘ └▓▓▓▓┘ └▓▓▓▓┘   and a little committed, all of that resident
 */

import type { PolicyResult } from '../../measure/experiment.js';
import type { AddressMap, MapArea } from '../../measure/map.js';
import { formatAddress } from '../../native/errors.js';
import { humanBytes } from '../bytes.js';
import { CHART_WIDTH, type Chart, drawn, FONT_SIZE, titled } from '../chart.js';
import { colour, FONT } from '../theme.js';

const COLUMNS = 32;
const CELL = CHART_WIDTH / COLUMNS;
/** Between two cells. */
const GAP = 1.5;
const SIDE = CELL - GAP;
const TITLE_HEIGHT = 44;
const LABEL_HEIGHT = FONT_SIZE + 6;
/** Height of the least that there can be of something, so that it is seen: a fifth of a cell. */
const LEAST = 0.2;

/** The map of one policy. */
export function mapChart({ policy }: PolicyResult, map: AddressMap): Chart {
  const placed: { area: MapArea; top: number }[] = [];
  let height = TITLE_HEIGHT;
  for (const area of map.areas) {
    placed.push({ area, top: height + LABEL_HEIGHT });
    height += LABEL_HEIGHT + Math.ceil(area.blocks.length / COLUMNS) * CELL + 8;
  }
  const layers = {
    cells: (): number => 1,
    committed: ({ committedBytes }: MapArea['blocks'][number]) => committedBytes / map.blockBytes,
    resident: ({ residentBytes }: MapArea['blocks'][number]) => residentBytes / map.blockBytes,
  };
  const path = (share: (typeof layers)[keyof typeof layers]) =>
    placed
      .map(({ area, top }) => area.blocks.map((block, i) => cell(i, top, share(block))).join(''))
      .join('');
  const paint = (pathData: string, style: object) => ({
    type: 'path' as const,
    shape: { pathData },
    style,
    silent: true,
  });
  return drawn({ title: title(policy), description: describe(map) }, Math.ceil(height), {
    title: titled(title(policy), {
      policy,
      note: 'faint: committed; strong: resident, if only a little',
    }),
    grid: { left: 0, right: 0, top: 0, bottom: 0, outerBoundsMode: 'none' },
    xAxis: { type: 'value', show: false, min: 0, max: CHART_WIDTH },
    yAxis: { type: 'value', show: false, min: 0, max: height },
    series: [
      {
        type: 'custom',
        data: [0],
        silent: true,
        renderItem: () => ({
          type: 'group',
          children: [
            paint(path(layers.cells), { fill: colour('panel'), stroke: colour('grid'), lineWidth: 1 }),
            paint(path(layers.committed), { fill: colour(policy), opacity: 0.35 }),
            paint(path(layers.resident), { fill: colour(policy) }),
            ...placed.map(({ area, top }) => ({
              type: 'text' as const,
              silent: true,
              style: {
                text: areaLabel(area, map),
                x: 0,
                y: top - 5,
                textVerticalAlign: 'bottom' as const,
                fill: colour('muted'),
                font: `${FONT_SIZE - 1}px ${FONT}`,
              },
            })),
          ],
        }),
      },
    ],
  });
}

function title(policy: string): string {
  return `Where the shadow is: ${policy}`;
}

/** The outline of a share of a cell, from its bottom; nothing for nothing. */
function cell(index: number, top: number, share: number): string {
  if (share === 0) return '';
  const height = SIDE * Math.max(LEAST, Math.min(1, share));
  const x = (index % COLUMNS) * CELL + GAP / 2;
  const y = top + Math.floor(index / COLUMNS) * CELL + GAP / 2 + SIDE - height;
  const number = (value: number) => Number(value.toFixed(2));
  return `M${number(x)} ${number(y)}h${number(SIDE)}v${number(height)}h${-number(SIDE)}z`;
}

function areaLabel({ name, blocks }: MapArea, { blockBytes }: AddressMap): string {
  const first = formatAddress(blocks[0]?.address ?? 0);
  return `${name}: shadow from ${first}, ${blocks.length} blocks of ${humanBytes(blockBytes)}`;
}

function describe({ areas, blockBytes, omittedAreas }: AddressMap): string {
  const sentences = areas.map(({ name, blocks }) => {
    const committed = blocks.filter(({ committedBytes }) => committedBytes > 0).length;
    const resident = blocks.filter(({ residentBytes }) => residentBytes > 0).length;
    return (
      `The ${name}'s shadow from ${formatAddress(blocks[0]?.address ?? 0)} has ${blocks.length} blocks of ` +
      `${humanBytes(blockBytes)}: in ${committed} something is committed, in ${resident} something is resident.`
    );
  });
  if (omittedAreas > 0) sentences.push(`${omittedAreas} smaller areas are not shown.`);
  return sentences.join(' ');
}
