/**
 * What every refusal of the library must be: one class, a code, the verb, where and how much, and a sentence that says
 * what to do.
 */
import { expect } from 'vitest';
import { LazyShadowError, type LazyShadowErrorCode } from '../../lib/native/errors.js';

/** The words by which a last sentence tells its reader to do something. */
const ADVICE =
  /\b(must be|Use|Round|Leave|Stay inside|Make a new|make a new|Reserve a new|commit it first|choose another|Raise it|release that handle|attach while|Ask for|Take several|round it|move|widen|give)\b/;

export interface Refusal {
  readonly code: LazyShadowErrorCode;
  readonly verb: string;
  readonly address?: number | undefined;
  readonly sizeBytes?: number | undefined;
}

/** The error that a call throws; fails if it throws none, or another than LazyShadowError. */
export function refusalOf(call: () => unknown): LazyShadowError {
  try {
    call();
  } catch (error) {
    if (error instanceof LazyShadowError) return error;
    throw error;
  }
  throw new Error('the call was not refused');
}

/** Fails unless the call is refused as said; what is left out of `expected` is not compared. */
export function expectRefusal(call: () => unknown, expected: Refusal): void {
  const error = refusalOf(call);
  expect(error).toMatchObject(expected);
  expect(error.message).toMatch(/\.$/);
  expect(error.message.split(/\. (?=[A-Z])/).at(-1)).toMatch(ADVICE);
}

/** What is neither an address nor a size, and what it is. */
export const NOT_NUMBERS: readonly (readonly [string, unknown])[] = [
  ['a string', '4096'],
  ['null', null],
  ['an object', {}],
  ['an object that converts', { valueOf: () => 4096 }],
  ['an array', [4096]],
  ['a boolean', true],
  ['a symbol', Symbol('4096')],
  ['a function', () => 4096],
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['minus infinity', Number.NEGATIVE_INFINITY],
  ['a fraction', 4096.5],
  ['the smallest fraction', 5e-324],
  ['a negative number', -4096],
  ['2^53', 2 ** 53],
  ['a bigint of 2^53 + 1', 2n ** 53n + 1n],
  ['a huge bigint', 2n ** 4096n],
  ['a negative bigint', -1n],
];
