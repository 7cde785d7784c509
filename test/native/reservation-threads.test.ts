/**
 * One reservation, several threads: each has a handle of its own on the same memory.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry } from '../../lib/native/system.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { isAnythingAt } from '../support/proc.js';
import { expectRefusal } from '../support/refusals.js';

const LIBRARY = fileURLToPath(new URL('../../dist/cjs/index.js', import.meta.url));
const { pageSizeBytes: PAGE, allocationGranularityBytes: UNIT } = geometry();
const ROUNDS = 16;
const ROUND_MS = 150;

/** Attaches, and then does what it is told, answering each order. */
const FOLLOWER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { Reservation } = require(workerData.library);
  const reservation = Reservation.attach(workerData.address);
  let view;
  const orders = {
    read: (offset) => reservation.bytes(workerData.address + offset, 1)[0],
    write: (offset, value) => { reservation.bytes(workerData.address + offset, 1)[0] = value; },
    hold: (offset, size) => { view = reservation.bytes(workerData.address + offset, size); return view.length; },
    held: () => view[0],
    commit: (offset, size) => reservation.commit(workerData.address + offset, size),
    churn: (offset, size, milliseconds) => {
      for (const end = Date.now() + milliseconds; Date.now() < end; ) {
        reservation.commit(workerData.address + offset, size);
        reservation.decommit(workerData.address + offset, size);
      }
    },
    size: () => reservation.sizeBytes,
    release: () => reservation.release(),
  };
  parentPort.on('message', ([order, ...values]) => parentPort.postMessage(orders[order](...values)));
`;

class Follower {
  readonly worker: Worker;
  constructor(address: number) {
    this.worker = new Worker(FOLLOWER, { eval: true, workerData: { library: LIBRARY, address } });
  }
  async tell(order: string, ...values: number[]): Promise<unknown> {
    const answer = once(this.worker, 'message');
    this.worker.postMessage([order, ...values]);
    return (await answer)[0];
  }
}

describe('attach', () => {
  it('gives another thread the same memory', async () => {
    const reservation = Reservation.reserve(16 * PAGE);
    const follower = new Follower(reservation.address);
    expect(await follower.tell('size')).toBe(16 * PAGE);
    expect(await follower.tell('commit', PAGE, 2 * PAGE)).toBe(2 * PAGE);
    expect(reservation.committedRanges()).toEqual([
      { address: reservation.address + PAGE, sizeBytes: 2 * PAGE },
    ]);
    await follower.tell('write', PAGE, 77);
    expect(reservation.bytes(reservation.address + PAGE, 1)[0]).toBe(77);
    await follower.worker.terminate();
    reservation.release();
  });

  it('finds nothing where no live reservation begins', () => {
    const reservation = Reservation.reserve(16 * PAGE);
    const { address } = reservation;
    reservation.release();
    for (const nothing of [address, 0, 4096]) {
      expectRefusal(() => Reservation.attach(nothing), { code: 'ERR_INVALID_ARGUMENT', verb: 'attach' });
    }
  });

  it('does not reach the memory of a shadow, whose pages only the shadow may decommit', () => {
    const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 30 });
    for (const { address } of shadow.spans) {
      expectRefusal(() => Reservation.attach(address), {
        code: 'ERR_INVALID_ARGUMENT',
        verb: 'attach',
        address,
      });
    }
    shadow.release();
  });
});

describe('another thread', () => {
  it('that holds a view keeps the memory from being decommitted; nothing changes', async () => {
    const reservation = Reservation.reserve(16 * PAGE);
    const { address } = reservation;
    reservation.commit(address, 8 * PAGE);
    const follower = new Follower(address);
    expect(await follower.tell('hold', 2 * PAGE, PAGE)).toBe(PAGE);
    const own = reservation.bytes(address, 4 * PAGE);
    own.fill(6);
    const before = reservation.stats();
    expectRefusal(() => reservation.decommit(address, 4 * PAGE), {
      code: 'ERR_IN_USE',
      verb: 'decommit',
      address: address + 2 * PAGE,
      sizeBytes: PAGE,
    });
    expect(own.length).toBe(4 * PAGE);
    expect(reservation.stats()).toEqual(before);
    expect(await follower.tell('held')).toBe(6);
    // What the view does not cover can go.
    expect(reservation.decommit(address + 3 * PAGE, PAGE)).toBe(PAGE);
    await follower.tell('release');
    expect(reservation.decommit(address, 4 * PAGE)).toBe(3 * PAGE);
    await follower.worker.terminate();
    reservation.release();
  });

  it('that is ended gives its views up', async () => {
    const reservation = Reservation.reserve(16 * PAGE);
    reservation.commit(reservation.address, PAGE);
    const follower = new Follower(reservation.address);
    await follower.tell('hold', 0, PAGE);
    await follower.worker.terminate();
    expect(reservation.decommit(reservation.address, PAGE)).toBe(PAGE);
    reservation.release();
  });

  it('keeps the memory when this one releases it', async () => {
    // Where nobody else maps anything once it is gone.
    const reservation = Reservation.reserve(16 * PAGE, { address: 0x5a00_0000_0000, exact: true });
    const { address } = reservation;
    reservation.commit(address, PAGE);
    reservation.bytes(address, PAGE).fill(5);
    const follower = new Follower(address);
    await follower.tell('hold', 0, PAGE);
    reservation.release();
    expect(await follower.tell('held')).toBe(5);
    expect(isAnythingAt(address, 16 * PAGE)).toBe(true);
    await follower.worker.terminate();
    expect(isAnythingAt(address, 16 * PAGE)).toBe(false);
  });

  // Linux lists mappings in pieces, and a neighbour's that joins this one's last page in between is listed with it.
  it('that commits next door is not counted here', async () => {
    const size = 64 * PAGE;
    const address = 0x5a10_0000_0000;
    const reservation = Reservation.reserve(size, { address, exact: true });
    for (let at = PAGE; at < size; at += 2 * PAGE) reservation.commit(address + at, PAGE);
    const neighbour = Reservation.reserve(size, { address: address + size, exact: true });
    const follower = new Follower(neighbour.address);
    const { committedBytes } = reservation.stats();
    // Each moves where the pieces end.
    const before: Reservation[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      before.push(Reservation.reserve(PAGE, { address: address - 2 * round * UNIT, exact: true }));
      const churned = follower.tell('churn', 0, PAGE, ROUND_MS);
      for (const end = Date.now() + ROUND_MS; Date.now() < end;) {
        expect(reservation.stats()).toMatchObject({ committedBytes, osCommittedBytes: committedBytes });
      }
      await churned;
    }
    await follower.worker.terminate();
    for (const each of [reservation, neighbour, ...before]) each.release();
  });
});
