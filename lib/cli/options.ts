/**
 * How options are written on the command line: sizes, counts, lists.
 */

import { InvalidArgumentError } from 'commander';

const UNITS: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `1073741824`, `1GiB`, `512M`, `1.5g`: bytes, by powers of 1024. */
export function parseSize(text: string): number {
  const [, digits = '', prefix = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim()) ?? [];
  const bytes = Number(digits) * (UNITS[prefix.toLowerCase()] ?? Number.NaN);
  if (digits === '' || !Number.isSafeInteger(bytes) || bytes < 1) {
    throw new InvalidArgumentError('Give a size in bytes, or with a unit: 512M, 1GiB.');
  }
  return bytes;
}

/** `1000000`: a whole number of 1 or more. */
export function parseCount(text: string): number {
  const count = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError('Give a number of 1 or more.');
  return count;
}

/** `lazy,touch`: words separated by commas. */
export function parseList(text: string): string[] {
  return text.split(',').map((word) => word.trim());
}
