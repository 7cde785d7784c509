/**
 * What the system refuses, by the seam for it (native/fault_injection.h): the ways back that once lost something.
 * test/faults walks all of them.
 */
import { describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry } from '../../lib/native/system.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { ALL_CALLS, CODES, type FaultVerbName, underFaults } from '../support/faults.js';
import { usageOf } from '../support/proc.js';
import { unlessNoProc } from '../support/skips.js';

const { pageSizeBytes: PAGE, allocationGranularityBytes: UNIT } = geometry();
const HEAP = 0xc0_0000_0000;

/** Runs an action while all calls of these verbs are refused; what it threw. */
function refusing(verbs: FaultVerbName[], action: () => unknown, code = CODES.other): unknown {
  return underFaults({ verbs, first: 0, count: ALL_CALLS, code }, action).error;
}

function committed(pages: number): Reservation {
  const reservation = Reservation.reserve(4 * pages * PAGE);
  reservation.commit(reservation.address, pages * PAGE);
  return reservation;
}

describe('decommit that the system refuses', () => {
  it('leaves the views of the memory as they were', () => {
    const reservation = committed(4);
    const { address } = reservation;
    const view = reservation.bytes(address, PAGE).fill(9);
    const error = refusing(['decommit'], () => reservation.decommit(address, 2 * PAGE));
    expect(error).toMatchObject({ code: 'ERR_OS', verb: 'decommit', osCode: CODES.other });
    expect([view.length, view[PAGE - 1]]).toEqual([PAGE, 9]);
    expect(reservation.stats()).toMatchObject({ committedBytes: 4 * PAGE, osCommittedBytes: 4 * PAGE });
    expect(reservation.decommit(address, 2 * PAGE)).toBe(2 * PAGE);
    expect(view.length).toBe(0);
    reservation.release();
  });
});

describe('what the system will not take back', () => {
  it('goes when the next is reserved or released: addresses', unlessNoProc, () => {
    for (const next of [
      () => Reservation.reserve(UNIT).release(),
      () => Reservation.reserve(UNIT, { address: 0x4400_0000_0000, exact: true }).release(),
    ]) {
      const reservation = Reservation.reserve(16 * UNIT, { address: 0x4400_0000_0000 });
      const { address, sizeBytes } = reservation;
      reservation.commit(address, sizeBytes);
      expect(refusing(['release'], () => reservation.release())).toBe(undefined);
      // The memory is gone already.
      expect(usageOf(address, sizeBytes)).toMatchObject({
        mappedBytes: sizeBytes,
        writableBytes: 0,
        chargedBytes: 0,
      });
      next();
      expect(usageOf(address, sizeBytes).mappedBytes).toBe(0);
    }
  });

  it('goes with the next change: shadow that was unmapped, and reads as zero until then', () => {
    const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 28 });
    shadow.mapShadow(HEAP, 65536);
    shadow.mapShadow(HEAP + 2 ** 20, 65536);
    expect(refusing(['decommit'], () => shadow.unmapShadow(HEAP, 65536))).toBe(undefined);
    expect(shadow.stats()).toMatchObject({ committedBytes: 65536 * 4.5, osCommittedBytes: 2 * 65536 * 4.5 });
    shadow.unmapShadow(HEAP + 2 ** 20, 65536);
    expect(shadow.stats()).toMatchObject({ committedBytes: 0, osCommittedBytes: 0 });
    shadow.release();
  });

  it('is not given back once it is in use again', () => {
    const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 28 });
    shadow.mapShadow(HEAP, 65536);
    expect(refusing(['decommit'], () => shadow.unmapShadow(HEAP, 65536))).toBe(undefined);
    expect(refusing(['decommit'], () => shadow.mapShadow(HEAP, 65536))).toBe(undefined);
    shadow.mapShadow(HEAP + 2 ** 20, 1);
    expect(shadow.stats()).toMatchObject({
      committedBytes: 65536 * 4.5 + 2 * PAGE,
      osCommittedBytes: 65536 * 4.5 + 2 * PAGE,
    });
    shadow.release();
  });

  it('goes with the next change: what a refused commit left half committed', () => {
    const reservation = committed(2);
    const { address } = reservation;
    const before = reservation.stats();
    const error = refusing(['commit', 'decommit'], () => reservation.commit(address + 4 * PAGE, PAGE));
    expect(error).toMatchObject({ code: 'ERR_OS', verb: 'commit' });
    expect(reservation.committedRanges()).toEqual([{ address, sizeBytes: 2 * PAGE }]);
    expect(reservation.decommit(address + 2 * PAGE, PAGE)).toBe(0);
    expect(reservation.stats()).toEqual(before);
    reservation.release();
  });
});

describe('purge', () => {
  it('makes all of the range zero, even if the system refuses a part', () => {
    const reservation = Reservation.reserve(16 * PAGE);
    const { address } = reservation;
    for (const page of [0, 4]) {
      reservation.commit(address + page * PAGE, PAGE);
      reservation.bytes(address + page * PAGE, PAGE).fill(1);
    }
    for (const first of [0, 1]) {
      const plan = { verbs: ['zero'] as const, first, count: 1, code: CODES.other };
      expect(underFaults(plan, () => reservation.purge(address, 16 * PAGE)).error).toBe(undefined);
    }
    for (const page of [0, 4]) {
      expect(reservation.bytes(address + page * PAGE, PAGE).every((byte) => byte === 0)).toBe(true);
    }
    reservation.release();
  });
});

describe('mapShadow that the system refuses', () => {
  it('joins no neighbour when it is not memory or mappings that are short', () => {
    const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 28 });
    shadow.mapShadow(HEAP, 65536);
    const before = shadow.stats();
    const plan = { verbs: ['commit'] as const, first: 0, count: 1, code: CODES.other };
    const { error } = underFaults(plan, () => shadow.mapShadow(HEAP + 2 ** 20, 65536));
    expect(error).toMatchObject({ code: 'ERR_OS', verb: 'mapShadow', osCode: CODES.other });
    expect(shadow.stats()).toEqual(before);
    shadow.release();
  });

  it('says what it was refused for, even if the system does not say what is in the way', () => {
    const shadow = new Shadow({ policy: 'unreserved', heapBytes: 2 ** 28 });
    const native = refusing(['reserve', 'query'], () => shadow.mapShadow(HEAP, 65536), CODES.addressTaken);
    expect(native).toMatchObject({
      code: 'ERR_ADDRESS_TAKEN',
      verb: 'mapShadow',
      osCode: CODES.addressTaken,
    });
    shadow.release();
  });
});
