/**
 * Recordings whose symbol text is not what the header and the format promise: too little, too much, without an end, or
 * a line with a wrong field.
 */
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { LINE, problemOf } from '../../support/damage.js';
import { begun, errorOf } from '../../support/traces.js';

describe('damaged symbol text', () => {
  const symbols = (text: string, pcCount: number) => {
    const bytes = Buffer.concat([begun().finish(), Buffer.from(text)]);
    bytes.writeUInt32LE(pcCount, 32);
    return bytes;
  };
  const ENDS = `${LINE}\n`;
  it.each<[string, string, number, string]>([
    ['too few lines', ENDS, 2, 'the symbol text has 1 lines, expected 2 as the header says'],
    ['none of the lines', '', 2, 'the symbol text has 0 lines, expected 2 as the header says'],
    [
      'too many lines',
      `${ENDS}1\ta\tb\t1\t1\n`,
      1,
      'line 2 of the symbol text: one too many, expected 1 as the header says',
    ],
    [
      'lines where there are none',
      ENDS,
      0,
      'line 1 of the symbol text: one too many, expected 0 as the header says',
    ],
    ['more text', `${ENDS}x`, 1, 'line 2 of the symbol text: more text, expected 1 lines as the header says'],
    [
      'a line that is cut short',
      `${ENDS}1\ta\tb\t1\t1`,
      2,
      'line 2 of the symbol text: cut short, expected a line that ends with a newline',
    ],
    [
      'a line with no frame',
      '4a613b\n',
      1,
      'line 1 of the symbol text: 1 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'a field too few',
      '4a\tf\tg\t1\n',
      1,
      'line 1 of the symbol text: 4 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'a field too many',
      `${ENDS}4a\tf\tg\t1\t2\th\n`,
      2,
      'line 2 of the symbol text: 6 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'an empty line',
      `\n${ENDS}`,
      2,
      'line 1 of the symbol text: 1 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'a pc that is none',
      '0x4a\tf\tg\t1\t2\n',
      1,
      'line 1 of the symbol text: no pc, expected hexadecimal digits below 2^48',
    ],
    [
      'a pc that is too wide',
      '1000000000000\tf\tg\t1\t2\n',
      1,
      'line 1 of the symbol text: no pc, expected hexadecimal digits below 2^48',
    ],
    [
      'a line number that is none',
      '4a\tf\tg\tone\t2\n',
      1,
      'line 1 of the symbol text: a line or an offset that is no number, expected decimal digits',
    ],
    [
      'an offset that is none',
      '4a\tf\tg\t1\t-2\n',
      1,
      'line 1 of the symbol text: a line or an offset that is no number, expected decimal digits',
    ],
    [
      'two lines for a pc',
      `${ENDS}4a613b\ta\tb\t1\t1\n`,
      2,
      'line 2 of the symbol text: a second line for pc 4a613b, expected one',
    ],
  ])('%s', async (_, text, pcCount, problem) => {
    expect(await problemOf(symbols(text, pcCount))).toBe(problem);
  });

  it('that never ends is refused, without a newline or with', async () => {
    const header = symbols('', 1_000_000);
    function* endless(piece: Buffer) {
      yield header;
      for (;;) yield piece;
    }
    for (const piece of [Buffer.alloc(65536, 'a'), Buffer.alloc(65536, '\n'), Buffer.alloc(65536, ENDS)]) {
      const error = await errorOf(Readable.from(endless(piece)));
      expect(error.message).toMatch(/^stream: line \d+ of the symbol text: /);
    }
  });
});
