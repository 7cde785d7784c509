/**
 * Views of a reservation's memory: they never outlive it, and it never ends under them.
 */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry } from '../../lib/native/system.js';
import type { ShadowMemory } from '../../lib/shadow/segment.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { collectGarbage } from '../support/garbage.js';
import { isAnythingAt } from '../support/proc.js';
import { expectRefusal } from '../support/refusals.js';
import { unless } from '../support/skips.js';

const PAGE = geometry().pageSizeBytes;
const HEAP = 0xc0_0000_0000;

/** Several times, because one object's end may be the beginning of another's. */
async function collectAll(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await setImmediate();
  }
}

function committed(pages: number): Reservation {
  const reservation = Reservation.reserve(2 * pages * PAGE);
  reservation.commit(reservation.address, pages * PAGE);
  return reservation;
}

describe('bytes', () => {
  it('is the memory itself, from any byte to any byte', () => {
    const reservation = committed(2);
    const view = reservation.bytes(reservation.address + 3, PAGE);
    expect([view.byteOffset, view.length]).toEqual([0, PAGE]);
    view[0] = 42;
    expect(reservation.bytes(reservation.address, 8)[3]).toBe(42);
    expect(reservation.bytes(BigInt(reservation.address), 8n)[3]).toBe(42);
    reservation.release();
  });

  it('gives the same buffer for the same range, so that asking often keeps no more', () => {
    const reservation = committed(2);
    const { buffer } = reservation.bytes(reservation.address, PAGE);
    expect(reservation.bytes(reservation.address, PAGE).buffer).toBe(buffer);
    expect(reservation.bytes(reservation.address, PAGE + 1).buffer).not.toBe(buffer);
    reservation.release();
  });

  it('is refused over memory of which a part is not committed', () => {
    const reservation = committed(2);
    const { address } = reservation;
    for (const [start, sizeBytes] of [
      [address + 2 * PAGE, 1],
      [address + PAGE, PAGE + 1],
      [address, 4 * PAGE],
    ] as const) {
      expectRefusal(() => reservation.bytes(start, sizeBytes), {
        code: 'ERR_NOT_COMMITTED',
        verb: 'bytes',
        address: start,
        sizeBytes,
      });
    }
    reservation.release();
  });
});

describe('a view', () => {
  it('is detached before its memory is decommitted, and only then', () => {
    const reservation = committed(4);
    const { address } = reservation;
    const views = [0, 1, 2, 3].map((page) => reservation.bytes(address + page * PAGE, PAGE));
    const over = reservation.bytes(address + 2 * PAGE - 1, 2);
    reservation.decommit(address + 2 * PAGE, PAGE + 1);
    expect(views.map(({ length }) => length)).toEqual([PAGE, PAGE, 0, PAGE]);
    expect(over.length).toBe(0);
    expect(views[2]?.[0]).toBe(undefined);
    reservation.release();
    expect(views.map(({ length }) => length)).toEqual([0, 0, 0, 0]);
  });

  it('stays when nothing of its memory is decommitted', () => {
    const reservation = committed(4);
    const { address } = reservation;
    const view = reservation.bytes(address, 2 * PAGE);
    reservation.decommit(address + PAGE + 1, PAGE - 1); // less than a page
    reservation.purge(address, PAGE);
    expect(view.length).toBe(2 * PAGE);
    reservation.release();
  });

  it('is new after its memory was decommitted and committed again', () => {
    const reservation = committed(1);
    const { address } = reservation;
    const old = reservation.bytes(address, PAGE);
    old[0] = 1;
    reservation.decommit(address, PAGE);
    reservation.commit(address, PAGE);
    expect([old.length, reservation.bytes(address, PAGE)[0]]).toEqual([0, 0]);
    reservation.release();
  });

  it('keeps its memory when the reservation is garbage, and lets it go with itself', async () => {
    let address = 0;
    const orphan = (): Uint8Array => {
      const reservation = committed(4);
      address = reservation.address;
      reservation.bytes(address, PAGE).fill(3); // one that is dropped
      return reservation.bytes(address, 2 * PAGE);
    };
    let view: Uint8Array | undefined = orphan();
    await collectAll();
    expect([view[0], view[PAGE - 1], view[PAGE]]).toEqual([3, 3, 0]);
    expect(isAnythingAt(address, 8 * PAGE)).toBe(true);
    view = undefined;
    await collectAll();
    expect(isAnythingAt(address, 8 * PAGE)).toBe(false);
  });

  it('that was dropped does not keep a reservation that was dropped', async () => {
    let address = 0;
    (() => {
      const reservation = committed(4);
      address = reservation.address;
      for (let page = 0; page < 4; page++) reservation.bytes(address + page * PAGE, PAGE)[0] = 1;
    })();
    await collectAll();
    expect(isAnythingAt(address, 8 * PAGE)).toBe(false);
  });

  it('of a handle that is gone still protects its memory from others', async () => {
    const reservation = committed(2);
    const view = (() => Reservation.attach(reservation.address).bytes(reservation.address, PAGE))();
    await collectAll();
    // Whatever takes the place of the handle that is gone must not be taken for it.
    const others = Array.from({ length: 50 }, () => Reservation.attach(reservation.address));
    for (const other of others) {
      expectRefusal(() => other.decommit(other.address, PAGE), {
        code: 'ERR_IN_USE',
        verb: 'decommit',
        address: reservation.address,
      });
    }
    view.fill(1);
    for (const other of [...others, reservation]) other.release();
    expect(view[PAGE - 1]).toBe(1);
  });
});

/** ArrayBuffer.prototype.transfer came with Node 22. */
interface Transferable {
  transfer?(): ArrayBuffer;
}

describe('a view whose buffer was given away', () => {
  const canTransfer = unless(
    'transfer' in ArrayBuffer.prototype,
    'Node 20 has no ArrayBuffer.prototype.transfer',
  );
  it('keeps its memory from being decommitted', canTransfer, async () => {
    const reservation = committed(2);
    const { address } = reservation;
    const given = (reservation.bytes(address, PAGE).buffer as Transferable).transfer?.();
    if (given === undefined) throw new Error('not transferred');
    let taken: Uint8Array | undefined = new Uint8Array(given);
    taken[0] = 8;
    await collectAll();
    expectRefusal(() => reservation.decommit(address, PAGE), {
      code: 'ERR_IN_USE',
      verb: 'decommit',
      address,
    });
    expect(reservation.decommit(address + PAGE, PAGE)).toBe(PAGE);
    expect(reservation.bytes(address, PAGE)[0]).toBe(8);
    reservation.release();
    expect(taken[0]).toBe(8);
    taken = undefined;
  });

  it('cannot be given to a thread', () => {
    const reservation = committed(1);
    const view = reservation.bytes(reservation.address, PAGE);
    view[0] = 4;
    let clone = view;
    try {
      clone = structuredClone(view, { transfer: [view.buffer as ArrayBuffer] });
    } catch {
      // Node 20 copies, later ones refuse.
    }
    reservation.decommit(reservation.address, PAGE);
    if (clone !== view) expect(clone[0]).toBe(4);
    else expect(view.length).toBe(0);
    reservation.release();
  });
});

describe('what a detector has of a shadow', () => {
  it('keeps the memory when the shadow is garbage', async () => {
    const orphan = (): ShadowMemory => {
      const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 28 });
      shadow.mapShadow(HEAP, 65536);
      const memory = windowsOf(shadow);
      const segment = memory.segment(HEAP / 2 ** 28);
      if (segment === undefined) throw new Error('no segment');
      memory.touchShadow(segment, 0, 4);
      segment.shadow[0] = 6;
      return memory;
    };
    const memory = orphan();
    await collectAll();
    expect(memory.segment(HEAP / 2 ** 28)?.shadow[0]).toBe(6);
  });
});
