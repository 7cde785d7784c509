/**
 * Everything that is no address, no size or no range, over every public method of Reservation and Shadow: an error that
 * says what to do, and nothing changed.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { LazyShadowErrorCode } from '../../lib/native/errors.js';
import { Reservation, type ReserveOptions } from '../../lib/native/reservation.js';
import { geometry } from '../../lib/native/system.js';
import { Shadow, type ShadowOptions } from '../../lib/shadow/shadow.js';
import { expectRefusal, NOT_NUMBERS, refusalOf } from '../support/refusals.js';

const PAGE = geometry().pageSizeBytes;
const END = geometry().addressEnd;
const LARGEST = Number.MAX_SAFE_INTEGER;

/** What a test passes where a number is asked for. */
type Anything = number;

const NO_SIZES: typeof NOT_NUMBERS = [...NOT_NUMBERS, ['0', 0], ['minus 0', -0], ['a bigint of 0', 0n]];

const reservation = Reservation.reserve(16 * PAGE);
reservation.commit(reservation.address, 4 * PAGE);
reservation.bytes(reservation.address, PAGE).fill(1);
const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 30 });
const HEAP = shadow.layout.application[1]?.start ?? 0;
shadow.mapShadow(HEAP, 65536);

afterAll(() => {
  reservation.release();
  shadow.release();
});

function state(): unknown {
  return [reservation.stats(), reservation.committedRanges(), shadow.stats()];
}
const before = state();

interface RangeMethod {
  readonly verb: string;
  readonly call: (address: Anything, sizeBytes: Anything) => unknown;
  /** A range that it takes. */
  readonly address: number;
}
const RESERVATION_METHODS: RangeMethod[] = (['commit', 'decommit', 'purge', 'bytes'] as const).map(
  (verb) => ({
    verb,
    call: (address, sizeBytes) => reservation[verb](address, sizeBytes),
    address: reservation.address,
  }),
);
const SHADOW_METHODS: RangeMethod[] = (['mapShadow', 'unmapShadow', 'isMapped', 'mappedBytes'] as const).map(
  (verb) => ({
    verb,
    call: (address, sizeBytes) => shadow[verb](address, sizeBytes),
    address: HEAP,
  }),
);
SHADOW_METHODS.push({
  verb: 'blocks',
  call: (address, sizeBytes) => shadow.blocks(address, sizeBytes, 2 ** 20),
  address: HEAP,
});

describe.each([...RESERVATION_METHODS, ...SHADOW_METHODS])('$verb', ({ verb, call, address }) => {
  it.each(NOT_NUMBERS)('refuses %s as address', (_, value) => {
    expectRefusal(() => call(value as Anything, PAGE), { code: 'ERR_INVALID_ARGUMENT', verb });
    expect(state()).toEqual(before);
  });

  it.each(NO_SIZES)('refuses %s as size', (_, value) => {
    expectRefusal(() => call(address, value as Anything), { code: 'ERR_INVALID_ARGUMENT', verb, address });
    expect(state()).toEqual(before);
  });

  it('refuses no arguments at all', () => {
    const bare = call as (address?: number, sizeBytes?: number) => unknown;
    expectRefusal(() => bare(), { code: 'ERR_INVALID_ARGUMENT', verb });
  });

  it.each([
    ['wraps', LARGEST, LARGEST],
    ['is everything', 0, LARGEST],
    ['begins at the end of all addresses', END, 1],
    ['ends behind the end of all addresses', address, END],
  ])('refuses a range that %s', (_, start, sizeBytes) => {
    for (const given of [
      [start, sizeBytes],
      [BigInt(start), BigInt(sizeBytes)],
    ] as const) {
      expectRefusal(() => call(given[0] as Anything, given[1] as Anything), {
        code: 'ERR_OUT_OF_RANGE',
        verb,
        address: start,
        sizeBytes,
      });
    }
    expect(state()).toEqual(before);
  });
});

describe.each(RESERVATION_METHODS)('$verb', ({ verb, call, address }) => {
  it.each([
    ['begins below', address - 1, 2],
    ['begins below, by a page', address - PAGE, 2 * PAGE],
    ['ends above', address + 15 * PAGE, PAGE + 1],
    ['begins at its end', address + 16 * PAGE, 1],
    ['contains it', address - PAGE, 18 * PAGE],
    ['is elsewhere', address + 2 ** 30, PAGE],
    ['is at 0', 0, 1],
  ])('refuses a range that leaves the reservation: %s', (_, start, sizeBytes) => {
    expectRefusal(() => call(start, sizeBytes), {
      code: 'ERR_OUT_OF_RANGE',
      verb,
      ...(start > 0 && { address: start }),
      sizeBytes,
    });
    expect(state()).toEqual(before);
  });
});

describe.each(SHADOW_METHODS.slice(0, 2))('$verb', ({ verb, call }) => {
  const [data, heap] = shadow.layout.application;
  if (data === undefined || heap === undefined) throw new Error('the layout has other ranges');
  it.each([
    ['begins below', heap.start - 1, 2],
    ['ends above', heap.end - 1, 2],
    ['begins at the end', heap.end, 1],
    ['spans both and what is between', data.start, heap.end - data.start],
    ['is in no range', data.end, 4096],
  ])('refuses a range that leaves the layout: %s', (_, start, sizeBytes) => {
    expectRefusal(() => call(start, sizeBytes), {
      code: 'ERR_OUT_OF_RANGE',
      verb,
      address: start,
      sizeBytes,
    });
    expect(state()).toEqual(before);
  });
});

describe.each(['memToShadow', 'memToMetainfo'] as const)('%s', (verb) => {
  it.each(NOT_NUMBERS)('refuses %s', (_, value) => {
    expectRefusal(() => shadow[verb](value as Anything), { code: 'ERR_INVALID_ARGUMENT', verb });
  });

  it('refuses an address that the layout has no shadow for', () => {
    for (const address of [0, HEAP - 1, HEAP + 2 ** 30, LARGEST]) {
      expectRefusal(() => shadow[verb](address), { code: 'ERR_OUT_OF_RANGE', verb, address });
    }
  });
});

describe('reserve', () => {
  it.each(NO_SIZES)('refuses %s as size', (_, value) => {
    expectRefusal(() => Reservation.reserve(value as Anything), {
      code: 'ERR_INVALID_ARGUMENT',
      verb: 'reserve',
    });
  });

  it.each(NOT_NUMBERS)('refuses %s as address', (_, value) => {
    expectRefusal(() => Reservation.reserve(PAGE, { address: value as Anything }), {
      code: 'ERR_INVALID_ARGUMENT',
      verb: 'reserve',
    });
  });

  it.each<[string, unknown, LazyShadowErrorCode]>([
    ['null', null, 'ERR_INVALID_ARGUMENT'],
    ['a number', 4096, 'ERR_INVALID_ARGUMENT'],
    ['exact that is no boolean', { address: 2 ** 40, exact: 1 }, 'ERR_INVALID_ARGUMENT'],
    ['exact without an address', { exact: true }, 'ERR_INVALID_ARGUMENT'],
    ['an address between two units', { address: 2 ** 40 + 1 }, 'ERR_INVALID_ARGUMENT'],
    ['an address of 0', { address: 0 }, 'ERR_INVALID_ARGUMENT'],
    ['an address beyond all', { address: END }, 'ERR_OUT_OF_RANGE'],
  ])('refuses %s as options', (_, options, code) => {
    expectRefusal(() => Reservation.reserve(PAGE, options as ReserveOptions), {
      code,
      verb: 'reserve',
      sizeBytes: PAGE,
    });
  });

  it('refuses more than there are addresses', () => {
    for (const sizeBytes of [END + 1, LARGEST]) {
      expectRefusal(() => Reservation.reserve(sizeBytes), {
        code: 'ERR_OUT_OF_RANGE',
        verb: 'reserve',
        sizeBytes,
      });
    }
  });
});

describe('attach', () => {
  it.each(NOT_NUMBERS)('refuses %s', (_, value) => {
    for (const attach of [Reservation.attach, Shadow.attach]) {
      expectRefusal(() => attach(value as Anything), { code: 'ERR_INVALID_ARGUMENT', verb: 'attach' });
    }
  });

  it('refuses the number of no shadow', () => {
    for (const id of [0, 2 ** 40]) {
      expectRefusal(() => Shadow.attach(id), { code: 'ERR_INVALID_ARGUMENT', verb: 'attach' });
    }
  });
});

describe('new', () => {
  it('does not make a Reservation', () => {
    const Bare = Reservation as unknown as new (handle?: unknown) => Reservation;
    for (const handle of [undefined, null, {}, shadow]) {
      expectRefusal(() => new Bare(handle), { code: 'ERR_INVALID_ARGUMENT', verb: 'new Reservation' });
    }
  });

  it.each([...NO_SIZES, ['more than the layout has', 2 ** 40] as const])(
    'refuses %s as heapBytes',
    (_, value) => {
      expectRefusal(() => new Shadow({ heapBytes: value as Anything }), {
        code: 'ERR_INVALID_ARGUMENT',
        verb: expect.any(String) as unknown as string,
      });
    },
  );

  it.each([
    ...NO_SIZES,
    ['less than a page', PAGE / 2] as const,
    ['no power of two', 3 * PAGE] as const,
    ['2 GiB', 2 ** 31] as const,
  ])('refuses %s as touchBlockBytes', (_, value) => {
    expectRefusal(() => new Shadow({ policy: 'touch', touchBlockBytes: value as Anything }), {
      code: 'ERR_INVALID_ARGUMENT',
      verb: 'new Shadow',
    });
  });

  it.each([['Lazy'], [''], [null], [3], [{}], [Symbol('lazy')], ['constructor']])(
    'refuses the policy %s, and names all',
    (policy) => {
      const error = refusalOf(() => new Shadow({ policy } as unknown as ShadowOptions));
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARGUMENT', verb: 'new Shadow' });
      expect(error.message).toContain('eager, unreserved, lazy, touch');
    },
  );

  it.each([['node-x3'], [''], ['NODE-X4'], ['__proto__']])(
    'refuses the layout %s, and names all',
    (layout) => {
      const error = refusalOf(() => new Shadow({ layout }));
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
      expect(error.message).toContain('node-x4, node-x2, go-unix-x4');
    },
  );

  it.each([[null], [1], ['lazy']])('refuses %s as options', (options) => {
    expectRefusal(() => new Shadow(options as unknown as ShadowOptions), {
      code: 'ERR_INVALID_ARGUMENT',
      verb: 'new Shadow',
    });
  });
});

describe('after release', () => {
  it('every method of a Reservation is refused', () => {
    const released = Reservation.reserve(4 * PAGE);
    released.commit(released.address, PAGE);
    released.release();
    const { address, sizeBytes } = released;
    for (const verb of ['commit', 'decommit', 'purge', 'bytes'] as const) {
      expectRefusal(() => released[verb](address, PAGE), { code: 'ERR_RELEASED', verb, address, sizeBytes });
    }
    for (const verb of ['stats', 'committedRanges'] as const) {
      expectRefusal(() => released[verb](), { code: 'ERR_RELEASED', verb, address, sizeBytes });
    }
    expect([released.released, released.address, released.sizeBytes]).toEqual([true, address, sizeBytes]);
  });

  it('every method of a Shadow is refused that asks the system, even when another takes its place', () => {
    const released = new Shadow({ heapBytes: 2 ** 28 });
    const place = released.memToShadow(HEAP);
    released.release();
    released.release();
    const other = new Shadow({ heapBytes: 2 ** 28 });
    for (const verb of ['mapShadow', 'unmapShadow', 'isMapped', 'mappedBytes'] as const) {
      expectRefusal(() => released[verb](HEAP, PAGE), { code: 'ERR_RELEASED', verb });
      expectRefusal(() => released[verb](Number.NaN, PAGE), { code: 'ERR_RELEASED', verb });
    }
    expectRefusal(() => released.stats(), { code: 'ERR_RELEASED', verb: 'stats' });
    expectRefusal(() => released.mappedRanges(), { code: 'ERR_RELEASED', verb: 'mappedRanges' });
    expectRefusal(() => released.blocks(HEAP, 1, PAGE), { code: 'ERR_RELEASED', verb: 'blocks' });
    expect(other.stats().mappedBytes).toBe(0);
    expect(released.memToShadow(HEAP)).toBe(place); // pure arithmetic
    other.release();
  });
});
