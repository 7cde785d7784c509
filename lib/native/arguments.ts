/**
 * The checks at the public door: what comes from a caller is a number or a bigint that means an address or a size,
 * or it is an error that says which argument it was.
 */

import { addon } from './addon.js';
import { formatAddress, LazyShadowError } from './errors.js';

/** Any value in a few words, for a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number') return String(value);
  return value === null ? 'null' : typeof value;
}

/**
 * A whole number from 0 to 2^53 − 1, given as number or bigint.
 * @param address what is known of the range that the call is about, for the error
 */
export function wholeNumber(verb: string, name: string, value: unknown, address?: number): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) {
    throw new LazyShadowError(
      'ERR_INVALID_ARGUMENT',
      `${verb}: ${name} must be a whole number from 0 to 2^53 - 1, as a number or a bigint, not ${shown(value)}.`,
      { verb, address },
    );
  }
  return number === 0 ? 0 : number; // not -0
}

/** An address as a number. */
export function checkedAddress(verb: string, value: unknown): number {
  return wholeNumber(verb, 'address', value);
}

/** A size of at least one byte, as a number; `address` is where, if that is known, for the error. */
export function checkedSize(verb: string, value: unknown, address?: number, name = 'sizeBytes'): number {
  const size = wholeNumber(verb, name, value, address);
  if (size === 0) {
    throw new LazyShadowError('ERR_INVALID_ARGUMENT', `${verb}: ${name} must be at least 1, not 0.`, {
      verb,
      address,
      sizeBytes: 0,
    });
  }
  return size;
}

let knownAddressEnd: number | undefined;

/** Throws unless [address, address + sizeBytes) ends within the addresses that a program may have. */
export function requireAddressable(verb: string, address: number, sizeBytes: number): void {
  knownAddressEnd ??= addon().geometry().addressEnd;
  if (address + sizeBytes <= knownAddressEnd) return;
  throw new LazyShadowError(
    'ERR_OUT_OF_RANGE',
    `${verb}: ${sizeBytes} bytes at ${formatAddress(address)} reach beyond ${formatAddress(knownAddressEnd)}, the ` +
      'end of the addresses that a program may have here. Use a smaller size or a lower address.',
    { verb, address, sizeBytes },
  );
}

/** One of the words of a list, or an error that names them all. */
export function oneOf<Word extends string>(
  verb: string,
  name: string,
  value: unknown,
  words: readonly Word[],
): Word {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new LazyShadowError(
    'ERR_INVALID_ARGUMENT',
    `${verb}: unknown ${name} ${shown(value)}; it must be one of ${words.join(', ')}.`,
    { verb },
  );
}
