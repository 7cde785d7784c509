/**
 * The policies' colours can be told from each other and from the background by everybody: also by people who see no red,
 * no green or no blue, as Machado, Oliveira and Fernandes (2009) simulate them.
 */
import { describe, expect, it } from 'vitest';
import { DARK, LIGHT, type Palette } from '../../lib/report/theme.js';
import { POLICIES } from '../../lib/shadow/policies.js';

type Triple = readonly [number, number, number];
type Matrix = readonly [Triple, Triple, Triple];

const VISIONS: Readonly<Record<string, Matrix>> = {
  'all colours': [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  'no red': [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  'no green': [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  'no blue': [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

/** Red, green and blue as amounts of light, from 0 to 1. */
function light(hex: string): Triple {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return [red, green, blue];
}

const dot = (a: Triple, b: Triple) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const luminance = (colour: Triple) => dot([0.2126, 0.7152, 0.0722], colour);

function seen(hex: string, vision: Matrix): Triple {
  const colour = light(hex);
  const [red, green, blue] = vision.map((row) => Math.min(1, Math.max(0, dot(row, colour))));
  return [red ?? 0, green ?? 0, blue ?? 0];
}

/** CIE L*a*b*, whose distances are about how different colours look. */
function lab(colour: Triple): Triple {
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f(dot([0.4124, 0.3576, 0.1805], colour) / 0.95047);
  const y = f(luminance(colour));
  const z = f(dot([0.0193, 0.1192, 0.9505], colour) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function contrast(a: string, b: string): number {
  const [darker = 0, lighter = 0] = [luminance(light(a)), luminance(light(b))].sort((x, y) => x - y);
  return (lighter + 0.05) / (darker + 0.05);
}

const themes: readonly (readonly [string, Palette])[] = [
  ['light', LIGHT],
  ['dark', DARK],
];

describe.each(themes)('the %s theme', (_, palette) => {
  it.each(Object.entries(VISIONS))('has four colours for eyes that see %s', (_name, vision) => {
    for (const a of POLICIES) {
      for (const b of POLICIES) {
        if (a === b) continue;
        const [first, second] = [lab(seen(palette[a], vision)), lab(seen(palette[b], vision))];
        // 2.3 can just be told from each other side by side; 20 at a glance.
        expect(
          Math.hypot(...first.map((value, i) => value - (second[i] ?? 0))),
          `${a}, ${b}`,
        ).toBeGreaterThan(20);
      }
    }
  });

  it('has the contrast that WCAG asks for: 3 for lines and marks, 4.5 for text', () => {
    for (const policy of POLICIES)
      expect(contrast(palette[policy], palette.background), policy).toBeGreaterThan(3);
    for (const text of ['text', 'muted', 'alert', 'lazy'] as const)
      for (const ground of ['background', 'panel'] as const)
        expect(contrast(palette[text], palette[ground]), `${text} on ${ground}`).toBeGreaterThan(4.5);
  });
});
