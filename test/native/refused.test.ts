/**
 * What the system refuses, by the seam for it (native/fault_injection.h): the ways back that once lost something.
 * test/faults walks all of them.
 */
import { describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry } from '../../lib/native/system.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { ALL_CALLS, CODES, type FaultVerbName, underFaults } from '../support/faults.js';
import { linux, usageOf } from '../support/proc.js';

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
