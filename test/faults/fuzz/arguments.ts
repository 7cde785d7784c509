/**
 * What a caller might pass: what is meant, what is just beside it, and what no call could mean.
 */
import type { Random } from '../../support/random.js';

/** What no call takes for a number. */
const NO_NUMBERS: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -1,
  0.5,
  4096.5,
  -4096,
  2 ** 53,
  1e300,
  5e-324,
  -1n,
  2n ** 53n,
  2n ** 4096n,
  '4096',
  '',
  true,
  [4096],
  {},
  { valueOf: () => 4096 },
  () => 4096,
  Symbol('4096'),
  new Uint8Array(8),
  new Proxy({}, {}),
];

/** Numbers at which something ends somewhere. */
const BORDERS: readonly number[] = [
  0,
  1,
  7,
  8,
  4095,
  4096,
  4097,
  65535,
  65536,
  2 ** 28,
  2 ** 30,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 40,
  2 ** 46,
  2 ** 47 - 4096,
  2 ** 47,
  2 ** 48,
  Number.MAX_SAFE_INTEGER,
];

export function noNumber(random: Random): unknown {
  return random.pick(NO_NUMBERS);
}

/** Anything at all. */
export function anything(random: Random): unknown {
  return random.percent(50) ? noNumber(random) : random.pick(BORDERS);
}

/** The whole number that a call takes a value for; undefined if it takes it for none. */
export function meaning(value: unknown): number | undefined {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) return undefined;
  return number;
}

/** Now and then as a bigint. */
function given(random: Random, number: number): number | bigint {
  return random.percent(10) ? BigInt(number) : number;
}

/**
 * Address and size of a range in [start, end), mostly: or beside it, or around it, or none.
 * @param unit what ranges are often multiples of
 */
export function someRange(random: Random, start: number, end: number, unit: number): [unknown, unknown] {
  const kind = random.below(100);
  if (kind < 85) {
    const aligned = random.percent(60);
    const places = Math.floor((end - start) / unit);
    const from = start + (aligned ? unit * random.below(places) : random.below(end - start));
    const size = Math.min(random.size(end - start), end - from);
    return [given(random, from), given(random, aligned ? Math.max(unit, size - (size % unit)) : size)];
  }
  if (kind < 92) {
    const from = random.pick([start, end, start - unit, end - unit, start - 1, end - 1]);
    const size = random.pick([1, unit, end - start, end - start + 1, unit - 1, unit + 1, 2 ** 47, 2 ** 52]);
    return [given(random, Math.max(0, from)), given(random, size)];
  }
  if (kind < 96) return [random.pick([start, anything(random)]), noNumber(random)];
  return [anything(random), random.pick([unit, anything(random)])];
}
