/**
 * What can happen to a file: as fast-check's choices, so that a failure shrinks to the damage that matters.
 */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { EVENT_BYTES, HEADER_BYTES } from '../../../lib/trace/format.js';

/** 32-bit values at which fields end, or mean something else. */
const TELLING_WORDS = [
  0, 1, 2, 7, 8, 27, 28, 255, 256, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/** A place in the file, from 0 to 1. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const change = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('byte' as const), at: place, value: fc.nat(255) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('word' as const),
      at: place,
      value: fc.constantFrom(...TELLING_WORDS),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('header' as const), at: place, value: fc.nat(255) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('move event' as const), at: place, value: fc.nat() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('double' as const), at: place, value: fc.nat(200) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('cut out' as const), at: place, value: fc.nat(200) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('cut off' as const), at: place, value: fc.constant(0) }),
  },
);

export type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;

/** What is done to one file: to which, what, and whether it is packed before or after that, or not at all. */
export interface Damage {
  readonly recording: number;
  readonly changes: readonly Change[];
  readonly packed: 'no' | 'after' | 'before';
}

export const damage: fc.Arbitrary<Damage> = fc.record({
  recording: fc.nat(),
  changes: fc.array(change, { minLength: 1, maxLength: 6 }),
  packed: fc.constantFrom('no', 'no', 'no', 'no', 'after', 'before'),
});

function changed(bytes: Buffer, { what, at, value }: Change): Buffer {
  const offset = Math.floor(at * bytes.length);
  switch (what) {
    case 'byte':
      if (offset < bytes.length) bytes[offset] = value;
      return bytes;
    case 'word': {
      // At a field of an event.
      const word = offset - (offset % 4);
      if (word + 4 <= bytes.length) bytes.writeUInt32LE(value, word);
      return bytes;
    }
    case 'header': {
      const field = Math.floor(at * HEADER_BYTES);
      if (field < bytes.length) bytes[field] = value;
      return bytes;
    }
    case 'move event': {
      const events = Math.max(1, Math.floor((bytes.length - HEADER_BYTES) / EVENT_BYTES));
      const from = HEADER_BYTES + EVENT_BYTES * Math.floor(at * events);
      const to = HEADER_BYTES + EVENT_BYTES * (value % events);
      bytes.copyWithin(to, from, from + EVENT_BYTES);
      return bytes;
    }
    case 'double':
      return Buffer.concat([bytes.subarray(0, offset + value), bytes.subarray(offset)]);
    case 'cut out':
      return Buffer.concat([bytes.subarray(0, offset), bytes.subarray(offset + value)]);
    case 'cut off':
      return bytes.subarray(0, offset);
  }
}

/** The damaged file. */
export function damaged(recordings: readonly Buffer[], { recording, changes, packed }: Damage): Uint8Array {
  const whole = recordings[recording % recordings.length] ?? Buffer.alloc(0);
  const start = packed === 'before' ? gzipSync(whole) : whole;
  const result = changes.reduce(changed, Buffer.from(start));
  return packed === 'after' ? gzipSync(result) : result;
}
