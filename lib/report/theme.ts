/**
 * Colours and type of pictures and pages, light and dark.
 *
 * Pictures name colours as CSS variables, so that one picture serves both. The four policies' colours differ from each
 * other, and from the background, for people who see no red, no green or no blue too: test/report/theme.test.ts
 * simulates them. Lines differ by dash and by a label as well.
 */

import type { Policy } from '../shadow/policies.js';

/** The colours of one theme. */
export interface Palette extends Readonly<Record<Policy, string>> {
  readonly background: string;
  readonly panel: string;
  readonly text: string;
  readonly muted: string;
  readonly grid: string;
  readonly alert: string;
}

export const LIGHT: Palette = {
  background: '#ffffff',
  panel: '#f6f7f9',
  text: '#1b1f24',
  muted: '#59636e',
  grid: '#d5dae0',
  alert: '#b3261e',
  eager: '#8b1a4a',
  unreserved: '#c97b00',
  lazy: '#1668c7',
  touch: '#1d9a6c',
};

export const DARK: Palette = {
  background: '#14171c',
  panel: '#1d2127',
  text: '#e6e9ed',
  muted: '#9aa4b0',
  grid: '#39404a',
  alert: '#ff8a80',
  eager: '#d9489a',
  unreserved: '#ffc766',
  lazy: '#5c9dff',
  touch: '#6ff0cf',
};

/** System fonts: a page that loads nothing has no others. Without double quotes, which end an attribute in ECharts' SVG. */
export const FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";
export const MONOSPACE = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";

/** How a picture names a colour. */
export function colour(name: keyof Palette): string {
  return `var(--${name})`;
}

function variables(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, value]) => `--${name}:${value}`)
    .join(';');
}

/** Declares the colours for an element, light, and dark for those who have set so. */
export function themeCss(selector: string): string {
  return (
    `${selector}{color-scheme:light dark;${variables(LIGHT)}}` +
    `@media (prefers-color-scheme:dark){${selector}{${variables(DARK)}}}`
  );
}
