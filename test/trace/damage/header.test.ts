/**
 * Recordings whose header is cut short or lies: every field that a reader relies on, and what the error says of it.
 */
import { describe, expect, it } from 'vitest';
import { problemOf, whole } from '../../support/damage.js';
import { readAll } from '../../support/traces.js';

/** {@link whole} with one change. */
function changed(change: (bytes: Buffer) => unknown): Buffer {
  const bytes = whole();
  change(bytes);
  return bytes;
}

it('the recording that the damage is done to is whole', async () => {
  const { symbols } = await readAll(whole());
  expect(symbols.pcCount).toBe(2);
});

describe('a damaged header', () => {
  it.each<[string, Uint8Array, string]>([
    ['nothing at all', new Uint8Array(0), 'the recording is empty, expected a header of 64 bytes'],
    [
      'an end in the header',
      whole().subarray(0, 63),
      'byte 63: the recording ends, expected a header of 64 bytes',
    ],
    ['an end in the magic', whole().subarray(0, 3), 'byte 0: the magic is "RAC", expected "RACETRC1"'],
    [
      'another magic',
      changed((b) => b.write('RACETRC2')),
      'byte 0: the magic is "RACETRC2", expected "RACETRC1"',
    ],
    ['another version', changed((b) => b.writeUInt32LE(2, 8)), 'byte 8: the version is 2, expected 1'],
    [
      'a version in the high word',
      changed((b) => b.writeUInt32LE(1, 12)),
      'byte 8: the version is 4294967297, expected 1',
    ],
    [
      'more events',
      changed((b) => b.writeUInt32LE(4, 16)),
      'byte 24: the symbol text begins at 160, expected 192 after 4 events',
    ],
    [
      'fewer events',
      changed((b) => b.writeUInt32LE(2, 16)),
      'byte 24: the symbol text begins at 160, expected 128 after 2 events',
    ],
    [
      '2^63 events',
      changed((b) => b.writeUInt32LE(2 ** 31, 20)),
      expect.stringMatching(/^byte 24: the symbol text begins at 160, expected \d+/),
    ],
    [
      'symbols inside the events',
      changed((b) => b.writeUInt32LE(128, 24)),
      'byte 24: the symbol text begins at 128, expected 160 after 3 events',
    ],
    [
      'symbols past the end',
      changed((b) => b.writeUInt32LE(2 ** 31, 24)),
      'byte 24: the symbol text begins at 2147483648, expected 160 after 3 events',
    ],
    [
      '2^63 lines',
      changed((b) => b.writeUInt32LE(2 ** 31, 36)),
      expect.stringMatching(/^byte 32: \d+ lines of symbol text, expected fewer than 2\^53$/),
    ],
    [
      'an end in the events',
      whole().subarray(0, 159),
      'byte 159: the recording ends, expected 3 events up to byte 160',
    ],
    [
      'events and symbols that both lie',
      changed((b) => {
        b.writeUInt32LE(1_000_003, 16);
        b.writeUInt32LE(64 + 32 * 1_000_003, 24);
      }),
      expect.stringMatching(/^byte \d+: the recording ends, expected 1000003 events up to byte 32000160$/),
    ],
  ])('%s', async (_, bytes, problem) => {
    expect(await problemOf(bytes)).toEqual(problem);
  });
});
