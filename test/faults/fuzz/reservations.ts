/**
 * Random calls to Reservation: several handles of the same memory, views that are kept, and use after release.
 *
 * The model: which pages are committed, and what each page that was written holds.
 */
import { constants } from 'node:buffer';
import { Reservation, type ReserveOptions } from '../../../lib/native/reservation.js';
import { geometry } from '../../../lib/native/system.js';
import { chargedBytes, linux, type Mapping, usageOf } from '../../support/proc.js';
import type { Actor, World } from './actor.js';
import { anything, meaning, noNumber, someRange } from './arguments.js';
import { type Expected, insist } from './calls.js';
import { IntervalSet } from './interval-set.js';

const { pageSizeBytes: PAGE, allocationGranularityBytes: UNIT, addressEnd: END } = geometry();

const MOST_MEMORIES = 8;
const MOST_HANDLES = 3;
const MOST_VIEWS = 6;
/** Most that a call may make resident. */
const MOST_WRITTEN_PAGES = 8;
/** Pages that are read and compared, of each committed piece, beyond those that were written. */
const MOST_UNWRITTEN_PAGES = 4;

interface View {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly size: number;
}

interface Handle {
  readonly reservation: Reservation;
  views: View[];
}

interface Memory {
  readonly address: number;
  readonly size: number;
  readonly committed: IntervalSet;
  /** Contents of pages that were written, by address. */
  readonly written: Map<number, Uint8Array>;
  readonly handles: Handle[];
}

const down = (value: number, unit: number) => Math.floor(value / unit) * unit;
const up = (value: number, unit: number) => Math.ceil(value / unit) * unit;

export class ReservationActor implements Actor {
  readonly #world: World;
  #memories: Memory[] = [];
  /** Handles that were released, to be used all the same. */
  #released: Reservation[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  step(): void {
    const { random } = this.#world;
    if (this.#memories.length === 0) return this.#reserve();
    random.weighted<() => void>([
      [4, () => this.#reserve()],
      [3, () => this.#attach()],
      [3, () => this.#release()],
      [2, () => this.#useReleased()],
      [24, () => this.#commit()],
      [14, () => this.#decommit()],
      [5, () => this.#purge()],
      [22, () => this.#bytes()],
      [22, () => this.#useView()],
      [2, () => this.#ranges()],
    ])();
  }

  verify(kernel: readonly Mapping[]): void {
    for (const memory of this.#memories) {
      const { address, size, committed, handles } = memory;
      const stats = handles[0]?.reservation.stats();
      const name = `the reservation at 0x${address.toString(16)}`;
      insist(stats?.reservedBytes === size, () => `${name} reserves ${stats?.reservedBytes}, not ${size}`);
      insist(
        stats?.committedBytes === committed.total,
        () => `${name} counts ${stats?.committedBytes} committed`,
      );
      insist(
        stats?.osCommittedBytes === committed.total,
        () => `the system counts ${stats?.osCommittedBytes} there`,
      );
      if (linux) {
        const charged = chargedBytes(address, size, kernel);
        insist(charged === committed.total, () => `smaps has ${charged} of ${name}, not ${committed.total}`);
        insist(usageOf(address, size, kernel).mappedBytes === size, () => `${name} is not all mapped`);
      }
      this.#verifyContents(memory);
    }
  }

  end(): void {
    for (const { handles } of this.#memories) for (const { reservation } of handles) reservation.release();
    this.#memories = [];
  }

  #verifyContents({ committed, written, handles, address }: Memory): void {
    const [handle] = handles;
    if (handle === undefined) return;
    for (const [start, end] of committed.intervals) {
      for (let page = start; page < Math.min(end, start + MOST_UNWRITTEN_PAGES * PAGE); page += PAGE) {
        if (written.has(page)) continue;
        const bytes = handle.reservation.bytes(page, PAGE);
        insist(
          Buffer.from(bytes.buffer, 0, PAGE).equals(ZEROS),
          () => `page 0x${page.toString(16)} is not zero`,
        );
      }
    }
    for (const [page, contents] of written) {
      const bytes = handle.reservation.bytes(page, PAGE);
      insist(
        Buffer.from(bytes.buffer, 0, PAGE).equals(contents),
        () => `page ${(page - address) / PAGE} of 0x${address.toString(16)} holds something else`,
      );
    }
    // So that the views opened here do not pile up.
    handle.reservation.release();
    handles.shift();
    this.#released.push(handle.reservation);
    if (handles.length === 0) this.#memories = this.#memories.filter((memory) => memory.address !== address);
  }

  #reserve(): void {
    const { random, calls } = this.#world;
    if (this.#memories.length >= MOST_MEMORIES) return this.#release();
    const size = random.weighted<() => unknown>([
      [60, () => PAGE * random.size(64)],
      [15, () => random.size(2 ** 22)],
      [5, () => 2 ** 40],
      [10, () => anything(random)],
      [10, () => noNumber(random)],
    ])();
    const options = this.#reserveOptions();
    const made = calls.loosely('Reservation.reserve', [size, options], () =>
      Reservation.reserve(size as number, options as ReserveOptions),
    );
    if (made === undefined) return;
    const wanted = up(meaning(size) ?? 0, PAGE);
    insist(made.sizeBytes === wanted, () => `${made.sizeBytes} bytes reserved, not ${wanted}`);
    insist(made.address % UNIT === 0, () => `reserved at ${made.address}`);
    for (const { address, size: length } of this.#memories) {
      const apart = made.address >= address + length || made.address + made.sizeBytes <= address;
      insist(apart, () => `reserved at 0x${made.address.toString(16)}, which is in use`);
    }
    this.#memories.push({
      address: made.address,
      size: made.sizeBytes,
      committed: new IntervalSet(),
      written: new Map(),
      handles: [{ reservation: made, views: [] }],
    });
  }

  #reserveOptions(): unknown {
    const { random, thread } = this.#world;
    const own = 0x4400_0000_0000 + thread * 2 ** 36 + UNIT * random.below(1024);
    return random.weighted<() => unknown>([
      [60, () => undefined],
      [10, () => ({ address: own })],
      [10, () => ({ address: own, exact: true })],
      [5, () => ({ address: this.#memories[0]?.address, exact: true })],
      [5, () => ({ address: anything(random), exact: anything(random) })],
      [5, () => anything(random)],
      [
        5,
        () => ({
          // Options may be read by code of the caller's, which may do anything.
          get address() {
            const made = Reservation.reserve(PAGE);
            made.release();
            return made.address;
          },
        }),
      ],
    ])();
  }

  #attach(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    if (random.percent(20)) {
      const address = random.pick([memory.address + 1, anything(random)]);
      // Where a reservation can begin, one of another thread's may.
      if ((meaning(address) ?? 1) % UNIT === 0) return;
      calls.exactly('Reservation.attach', [address], 'ERR_INVALID_ARGUMENT', () =>
        Reservation.attach(address as number),
      );
      return;
    }
    if (memory.handles.length >= MOST_HANDLES) return;
    const made = calls.exactly('Reservation.attach', [memory.address], undefined, () =>
      Reservation.attach(memory.address),
    );
    insist(made?.sizeBytes === memory.size, () => 'attached to something else');
    if (made) memory.handles.push({ reservation: made, views: [] });
  }

  #release(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    const handle = random.pick(memory.handles);
    calls.exactly('release', [], undefined, () => handle.reservation.release());
    for (const { bytes } of handle.views) insist(bytes.length === 0, () => 'a view outlived its handle');
    memory.handles.splice(memory.handles.indexOf(handle), 1);
    this.#released.push(handle.reservation);
    if (this.#released.length > 8) this.#released.shift();
    if (memory.handles.length === 0) this.#memories.splice(this.#memories.indexOf(memory), 1);
  }

  #useReleased(): void {
    const { random, calls } = this.#world;
    if (this.#released.length === 0) return;
    const reservation = random.pick(this.#released);
    const verb = random.pick(['commit', 'decommit', 'purge', 'bytes'] as const);
    const [address, size] = someRange(random, reservation.address, reservation.address + PAGE, PAGE);
    calls.exactly(verb, [address, size], 'ERR_RELEASED', () =>
      reservation[verb](address as number, size as number),
    );
    calls.exactly('stats', [], 'ERR_RELEASED', () => reservation.stats());
    calls.exactly('release', [], undefined, () => reservation.release());
  }

  #commit(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    // The pages of a terabyte are committed in pieces that the machine has.
    const end = memory.address + Math.min(memory.size, 2 ** 24);
    const [address, size] = someRange(random, memory.address, end, PAGE);
    const range = this.#range(memory, address, size);
    if (typeof range !== 'string' && range[1] - range[0] > 2 ** 25) return;
    const expected = typeof range === 'string' ? range : undefined;
    const { reservation } = random.pick(memory.handles);
    const fresh = calls.exactly('commit', [address, size], expected, () =>
      reservation.commit(address as number, size as number),
    );
    if (typeof range === 'string') return;
    const [from, to] = [down(range[0], PAGE), up(range[1], PAGE)];
    const gaps = to - from - memory.committed.within(from, to);
    insist(fresh === gaps, () => `commit gave ${fresh}, not ${gaps}`);
    memory.committed.add(from, to);
  }

  #decommit(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    const [address, size] = someRange(random, memory.address, memory.address + memory.size, PAGE);
    const handle = random.pick(memory.handles);
    let expected = this.#range(memory, address, size);
    const [from, to] =
      typeof expected === 'string' ? [0, 0] : [up(expected[0], PAGE), down(expected[1], PAGE)];
    const overlaps = ({ start, size: length }: View) => start < to && start + length > from;
    const isInUse = memory.handles.some((other) => other !== handle && other.views.some(overlaps));
    if (from < to && isInUse) expected = 'ERR_IN_USE';
    const wanted: Expected = typeof expected === 'string' ? expected : undefined;
    const gone = calls.exactly('decommit', [address, size], wanted, () =>
      handle.reservation.decommit(address as number, size as number),
    );
    if (wanted !== undefined) return this.#viewsAreWhole(memory);
    const were = from < to ? memory.committed.within(from, to) : 0;
    insist(gone === were, () => `decommit gave ${gone}, not ${were}`);
    if (from >= to) return;
    memory.committed.remove(from, to);
    for (const page of memory.written.keys()) if (page >= from && page < to) memory.written.delete(page);
    for (const view of handle.views) {
      if (overlaps(view)) insist(view.bytes.length === 0, () => 'a view outlived its memory');
    }
    handle.views = handle.views.filter((view) => !overlaps(view));
    this.#viewsAreWhole(memory);
  }

  #purge(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    const [address, size] = someRange(random, memory.address, memory.address + memory.size, PAGE);
    const range = this.#range(memory, address, size);
    const { reservation } = random.pick(memory.handles);
    calls.exactly('purge', [address, size], typeof range === 'string' ? range : undefined, () =>
      reservation.purge(address as number, size as number),
    );
    if (typeof range === 'string') return;
    const [from, to] = [up(range[0], PAGE), down(range[1], PAGE)];
    for (const page of memory.written.keys()) if (page >= from && page < to) memory.written.delete(page);
  }

  #bytes(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    const handle = random.pick(memory.handles);
    if (handle.views.length >= MOST_VIEWS) return this.#useView();
    // Mostly where something is committed.
    const [low, high] =
      memory.committed.intervals.length > 0 && random.percent(80)
        ? random.pick(memory.committed.intervals)
        : [memory.address, memory.address + memory.size];
    const [address, size] = someRange(random, low, high, PAGE);
    let expected = this.#range(memory, address, size);
    const isAddressable = (meaning(address) ?? END) + (meaning(size) ?? END) <= END;
    if (isAddressable && (meaning(size) ?? 0) > constants.MAX_LENGTH) expected = 'ERR_UNSUPPORTED';
    if (typeof expected !== 'string') {
      const [from, to] = expected;
      if (memory.committed.within(from, to) !== to - from) expected = 'ERR_NOT_COMMITTED';
    }
    const code: Expected = typeof expected === 'string' ? expected : undefined;
    const bytes = calls.exactly('bytes', [address, size], code, () =>
      handle.reservation.bytes(address as number, size as number),
    );
    if (bytes === undefined || typeof expected === 'string') return;
    const [start, end] = expected;
    insist(bytes.length === end - start, () => `bytes gave ${bytes.length}`);
    const view = { bytes, start, size: end - start };
    handle.views.push(view);
    this.#write(memory, view);
  }

  #useView(): void {
    const { random } = this.#world;
    const memory = random.pick(this.#memories);
    const { views } = random.pick(memory.handles);
    if (views.length > 0) this.#write(memory, random.pick(views));
  }

  /** Reads a byte of a view, and writes some of it. */
  #write({ written }: Memory, { bytes, start, size }: View): void {
    const { random } = this.#world;
    insist(bytes.length === size, () => 'a view lost its memory');
    const at = random.below(size);
    const page = down(start + at, PAGE);
    const known = written.get(page)?.[start + at - page] ?? 0;
    insist(bytes[at] === known, () => `a byte is ${bytes[at]}, not ${known}`);
    const value = random.below(256);
    const end = Math.min(size, at + random.size(MOST_WRITTEN_PAGES * PAGE));
    bytes.fill(value, at, end);
    for (let from = at; from < end;) {
      const place = down(start + from, PAGE);
      const to = Math.min(end, place + PAGE - start);
      let contents = written.get(place);
      if (contents === undefined) written.set(place, (contents = new Uint8Array(PAGE)));
      contents.fill(value, start + from - place, start + to - place);
      from = to;
    }
  }

  #ranges(): void {
    const { random, calls } = this.#world;
    const memory = random.pick(this.#memories);
    const { reservation } = random.pick(memory.handles);
    const ranges = calls.exactly('committedRanges', [], undefined, () => reservation.committedRanges());
    const wanted = memory.committed.intervals.map(([start, end]) => `${start} ${end - start}`).join();
    const got = ranges?.map(({ address, sizeBytes }) => `${address} ${sizeBytes}`).join();
    insist(got === wanted, () => `committed are ${got}, not ${wanted}`);
  }

  #viewsAreWhole({ handles }: Memory): void {
    for (const { views } of handles) {
      for (const { bytes, size } of views) insist(bytes.length === size, () => 'a view lost its memory');
    }
  }

  /** What a range means to a reservation: from and to, or the code that it is refused with. */
  #range(
    { address, size }: Memory,
    givenAddress: unknown,
    givenSize: unknown,
  ): [number, number] | NonNullable<Expected> {
    const [start, length] = [meaning(givenAddress), meaning(givenSize)];
    if (start === undefined || length === undefined || length === 0) return 'ERR_INVALID_ARGUMENT';
    if (start + length > END || start < address || start + length > address + size) return 'ERR_OUT_OF_RANGE';
    return [start, start + length];
  }
}

const ZEROS = Buffer.alloc(PAGE);
