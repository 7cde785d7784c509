/**
 * What is no goroutine, no address, no pc and no size, over every method of Race: an error of the library's that says
 * which it was, and the same call with what is meant still works.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { Race } from '../../lib/race/package-race.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { NOT_NUMBERS, refusalOf } from '../support/refusals.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;
const PC = 0x40_0000;

const shadow = new Shadow(HEAP_SIZE);
const race = new Race({ shadow });
race.initialize(1);
race.mapShadow(HEAP, 4096);
race.funcEnter(1, PC);
afterAll(() => shadow.release());

/** A call of each method, as it should be: each argument is replaced in its turn. */
const CALLS: [keyof Race, unknown[]][] = [
  ['mapShadow', [HEAP, 8]],
  ['finalizerGoroutine', [1]],
  ['read', [1, HEAP, PC, PC]],
  ['write', [1, HEAP, PC, PC]],
  ['readRange', [1, HEAP, 8, PC]],
  ['writeRange', [1, HEAP, 8, PC]],
  ['funcEnter', [1, PC]],
  ['malloc', [HEAP, 8]],
  ['free', [HEAP, 8]],
  ['acquire', [1, HEAP]],
  ['release', [1, HEAP]],
  ['releaseMerge', [1, HEAP]],
  ['releaseAcquire', [1, HEAP]],
  ['ignoreSyncBegin', [1]],
  ['ignoreSyncEnd', [1]],
];

describe.each(CALLS)('%s', (method, args) => {
  const call = (given: readonly unknown[]) =>
    (race[method] as (...all: readonly unknown[]) => void)(...given);
  const cases = args.flatMap((_, place) => NOT_NUMBERS.map(([what, value]) => ({ place, what, value })));

  it.each(cases)('refuses $what as argument $place', ({ place, value }) => {
    const error = refusalOf(() => call(args.with(place, value)));
    expect(['ERR_INVALID_USE', 'ERR_INVALID_ARGUMENT']).toContain(error.code);
    call(args);
  });
});

describe('goStart', () => {
  it.each(NOT_NUMBERS)('refuses %s as goroutine, parent and pc', (_, value) => {
    const wrong = value as number;
    for (const start of [
      () => race.goStart(wrong, 2, PC),
      () => race.goStart(1, wrong, PC),
      () => race.goStart(1, 2, wrong),
      () => race.goEnd(wrong),
      () => race.funcExit(wrong),
    ]) {
      expect(refusalOf(start).code).toBe('ERR_INVALID_USE');
    }
  });
});
