/**
 * Reservations against the kernel's own numbers and against a plain model: what is committed, charged, resident and
 * kept, whatever the order of calls.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry } from '../../lib/native/system.js';
import { isAnythingAt, linux, usageOf, windows } from '../support/proc.js';
import { expectRefusal, refusalOf } from '../support/refusals.js';
import { wine } from '../support/sizes.js';
import { unless, unlessNoProc } from '../support/skips.js';

const PAGE = geometry().pageSizeBytes;
const UNIT = geometry().allocationGranularityBytes;
/** An address that nothing else in a Node process takes. */
const FREE = 0x5a00_0000_0000;

const made: Reservation[] = [];
function reserve(...given: Parameters<typeof Reservation.reserve>): Reservation {
  const reservation = Reservation.reserve(...given);
  made.push(reservation);
  return reservation;
}
afterEach(() => {
  for (const reservation of made.splice(0)) reservation.release();
});

describe('reserve', () => {
  it('gives whole pages of address space that cost nothing', () => {
    const reservation = reserve(10 * PAGE + 1);
    expect(reservation.sizeBytes).toBe(11 * PAGE);
    expect(reservation.address % UNIT).toBe(0);
    expect(reservation.stats()).toEqual({
      reservedBytes: 11 * PAGE,
      committedBytes: 0,
      osCommittedBytes: 0,
      residentBytes: 0,
    });
    expect(reservation.committedRanges()).toEqual([]);
  });

  it('takes the wanted address if it is free, as number or bigint', () => {
    expect(reserve(PAGE, { address: FREE }).address).toBe(FREE);
    expect(reserve(BigInt(PAGE), { address: BigInt(FREE + UNIT), exact: true }).address).toBe(FREE + UNIT);
  });

  it('goes elsewhere if the wanted address is taken', () => {
    reserve(PAGE, { address: FREE, exact: true });
    const other = reserve(PAGE, { address: FREE });
    expect(other.address).not.toBe(FREE);
    other.commit(other.address, PAGE);
    other.bytes(other.address, PAGE).fill(1);
  });

  it('is refused where it must be exact and a part is taken, and replaces nothing', () => {
    const first = reserve(4 * UNIT, { address: FREE + 4 * UNIT, exact: true });
    first.commit(first.address, PAGE);
    const view = first.bytes(first.address, PAGE);
    view.fill(7);
    for (const [address, sizeBytes] of [
      [FREE + 4 * UNIT, PAGE],
      [FREE, 5 * UNIT],
      [FREE + 7 * UNIT, 4 * UNIT],
      [FREE, 16 * UNIT],
    ] as const) {
      expectRefusal(() => reserve(sizeBytes, { address, exact: true }), {
        code: 'ERR_ADDRESS_TAKEN',
        verb: 'reserve',
        address,
        sizeBytes,
      });
    }
    expect(view.every((byte) => byte === 7)).toBe(true);
    expect(first.stats().committedBytes).toBe(PAGE);
  });

  const refusable = unless(!wine, 'Wine keeps a byte for each page, and ends the process for lack of them');
  it('is refused when there is no address space of that size', refusable, () => {
    const error = refusalOf(() => reserve(2 ** 46 + 2 ** 45));
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', verb: 'reserve', sizeBytes: 2 ** 46 + 2 ** 45 });
    expect(error.osCode).toBeGreaterThan(0);
  });

  it('never maps address 0, which a privileged process could', () => {
    expectRefusal(() => reserve(PAGE, { address: 0, exact: true }), {
      code: 'ERR_INVALID_ARGUMENT',
      verb: 'reserve',
      address: 0,
    });
  });
});

describe('commit and decommit', () => {
  it('round outwards and inwards, and say how many bytes changed', () => {
    const reservation = reserve(16 * PAGE);
    const { address } = reservation;
    expect(reservation.commit(address + PAGE + 1, 1)).toBe(PAGE);
    expect(reservation.commit(address + PAGE - 1, 2)).toBe(PAGE);
    expect(reservation.commit(address, 3 * PAGE)).toBe(PAGE);
    expect(reservation.committedRanges()).toEqual([{ address, sizeBytes: 3 * PAGE }]);
    expect(reservation.decommit(address + 1, PAGE)).toBe(0);
    expect(reservation.decommit(address + 1, 2 * PAGE - 1)).toBe(PAGE);
    expect(reservation.decommit(address, 16 * PAGE)).toBe(2 * PAGE);
    expect(reservation.committedRanges()).toEqual([]);
  });

  it('joins neighbours to one range', () => {
    const reservation = reserve(16 * PAGE);
    for (const page of [3, 1, 5, 2, 4]) reservation.commit(reservation.address + page * PAGE, PAGE);
    expect(reservation.committedRanges()).toEqual([
      { address: reservation.address + PAGE, sizeBytes: 5 * PAGE },
    ]);
  });

  it('keep contents over a repeated commit, and lose them to a decommit', () => {
    const reservation = reserve(16 * PAGE);
    const { address } = reservation;
    reservation.commit(address + PAGE, 2 * PAGE);
    reservation.bytes(address + PAGE, 2 * PAGE).fill(9);
    reservation.commit(address, 16 * PAGE);
    expect(reservation.bytes(address + PAGE, 2 * PAGE).every((byte) => byte === 9)).toBe(true);
    expect(reservation.bytes(address, PAGE).every((byte) => byte === 0)).toBe(true);
    reservation.decommit(address + PAGE, PAGE);
    reservation.commit(address + PAGE, PAGE);
    expect(reservation.bytes(address + PAGE, PAGE).every((byte) => byte === 0)).toBe(true);
    expect(reservation.bytes(address + 2 * PAGE, PAGE).every((byte) => byte === 9)).toBe(true);
  });

  it('charge and give the charge back, touched or not', unlessNoProc, () => {
    const size = 64 * 2 ** 20;
    const reservation = reserve(2 * size);
    const charged = () => usageOf(reservation.address, reservation.sizeBytes);
    expect(charged()).toMatchObject({ mappedBytes: 2 * size, chargedBytes: 0, writableBytes: 0 });
    reservation.commit(reservation.address, size);
    expect(charged()).toMatchObject({ chargedBytes: size, writableBytes: size, residentBytes: 0 });
    reservation.bytes(reservation.address, size / 2).fill(1);
    expect(charged()).toMatchObject({ chargedBytes: size, residentBytes: size / 2 });
    reservation.decommit(reservation.address, size);
    expect(charged()).toEqual({
      mappedBytes: 2 * size,
      writableBytes: 0,
      chargedBytes: 0,
      residentBytes: 0,
    });
  });

  it('purge zeroes whole pages and keeps them committed', () => {
    const reservation = reserve(8 * PAGE);
    const { address } = reservation;
    reservation.commit(address, 4 * PAGE);
    const view = reservation.bytes(address, 4 * PAGE);
    view.fill(5);
    reservation.purge(address + 1, 3 * PAGE);
    // Windows' way to zero memory and keep its charge is to write the zeros. Asked before they are read, since some kernels
    // have no page of zeros that would stand for them.
    const residentBytes = (windows ? 4 : 2) * PAGE;
    expect(reservation.stats()).toMatchObject({ committedBytes: 4 * PAGE, residentBytes });
    expect([view[0], view[PAGE], view[3 * PAGE - 1], view[3 * PAGE]]).toEqual([5, 0, 0, 5]);
    reservation.purge(address, 8 * PAGE); // over what is not committed too
    expect(view.every((byte) => byte === 0)).toBe(true);
  });

  it('agree with a model and with the kernel after any sequence of calls', () => {
    const PAGES = 24;
    const step = fc.record({
      verb: fc.constantFrom('commit', 'commit', 'decommit', 'purge', 'write'),
      offset: fc.nat(PAGES * PAGE - 1),
      size: fc.integer({ min: 1, max: 6 * PAGE }),
      value: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const reservation = Reservation.reserve(PAGES * PAGE);
        const { address } = reservation;
        /** What each page holds, all of its bytes alike: undefined while not committed. */
        const model: (number | undefined)[] = Array.from({ length: PAGES });
        for (const { verb, offset, size: wanted, value } of steps) {
          const size = Math.min(wanted, PAGES * PAGE - offset);
          const out = [Math.floor(offset / PAGE), Math.ceil((offset + size) / PAGE)] as const;
          const inside = [Math.ceil(offset / PAGE), Math.floor((offset + size) / PAGE)] as const;
          if (verb === 'commit') {
            const fresh = model.slice(...out).filter((page) => page === undefined).length;
            expect(reservation.commit(address + offset, size)).toBe(fresh * PAGE);
            for (let page = out[0]; page < out[1]; page++) model[page] ??= 0;
          } else if (verb === 'decommit') {
            const old = model.slice(inside[0], Math.max(...inside)).filter((page) => page !== undefined);
            expect(reservation.decommit(address + offset, size)).toBe(old.length * PAGE);
            for (let page = inside[0]; page < inside[1]; page++) model[page] = undefined;
          } else if (verb === 'purge') {
            reservation.purge(address + offset, size);
            for (let page = inside[0]; page < inside[1]; page++)
              if (model[page] !== undefined) model[page] = 0;
          } else {
            for (let page = out[0]; page < out[1]; page++) {
              if (model[page] === undefined) continue;
              reservation.bytes(address + page * PAGE, PAGE).fill(value);
              model[page] = value;
            }
          }
          const committedBytes = model.filter((page) => page !== undefined).length * PAGE;
          const stats = reservation.stats();
          expect(stats).toMatchObject({
            reservedBytes: PAGES * PAGE,
            committedBytes,
            osCommittedBytes: committedBytes,
          });
          if (linux) {
            const { chargedBytes, residentBytes } = usageOf(address, reservation.sizeBytes);
            expect([chargedBytes, residentBytes]).toEqual([committedBytes, stats.residentBytes]);
          }
          expect(reservation.committedRanges().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(
            committedBytes,
          );
        }
        model.forEach((value, page) => {
          const bytes = () => reservation.bytes(address + page * PAGE, PAGE);
          if (value === undefined) expect(refusalOf(bytes).code).toBe('ERR_NOT_COMMITTED');
          else expect(bytes().every((byte) => byte === value)).toBe(true);
        });
        reservation.release();
      }),
      { numRuns: 40 },
    );
  });
});

describe('release', () => {
  it('gives the addresses back, once', () => {
    // Where nobody else maps anything: any other thread could, between the release and the look.
    const reservation = reserve(64 * PAGE, { address: FREE, exact: true });
    reservation.commit(reservation.address, PAGE);
    reservation.release();
    expect(reservation.released).toBe(true);
    expect(isAnythingAt(reservation.address, reservation.sizeBytes)).toBe(false);
    reservation.release();
    expect(reservation.released).toBe(true);
  });

  it('lets the address be reserved again', () => {
    for (let round = 0; round < 3; round++) {
      const reservation = Reservation.reserve(PAGE, { address: FREE, exact: true });
      reservation.commit(FREE, PAGE);
      expect(reservation.bytes(FREE, PAGE)[0]).toBe(0);
      reservation.bytes(FREE, PAGE)[0] = 1;
      reservation.release();
    }
  });
});
