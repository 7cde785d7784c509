/**
 * Address space that costs nothing until it is committed, piece by piece.
 *
 * Invariant: a `Uint8Array` from {@link Reservation.bytes} covers committed memory only, and is detached (its length
 * becomes 0) before that memory is decommitted or released. What the operating system is asked for is in
 * native/os_memory.h; docs/overview.md tells the whole way.
 */

import { constants } from 'node:buffer';
import {
  type AddressRange,
  addon,
  type MemoryStats,
  type NativeReservation,
  ReservationMode,
} from './addon.js';
import { checkedAddress, checkedSize, requireAddressable } from './arguments.js';
import { formatAddress, LazyShadowError } from './errors.js';
import { guarded } from './failures.js';

/** Where {@link Reservation.reserve} should place a reservation. */
export interface ReserveOptions {
  /** The wanted address, a multiple of the allocation granularity (`systemMemory().allocationGranularityBytes`). */
  readonly address?: number | bigint;
  /** With `address`: there or not at all. Without: there if it is free, else anywhere. */
  readonly exact?: boolean;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/**
 * As Reservation.reserve, but nobody can attach to it: for lib/heap, whose memory others must not decommit.
 */
export let reservePrivately: (sizeBytes: number, options?: ReserveOptions) => Reservation;

/** As Reservation.commit, for memory that is written as soon as it is committed: its pages are made at once. */
export let commitWritten: (reservation: Reservation, address: number, sizeBytes: number) => void;

/**
 * One stretch of reserved addresses. Its memory is shared by every thread that has attached to it, and goes back to
 * the system when the last of them has released it (or dropped it, and its views, for the collector to find).
 */
export class Reservation {
  static {
    reservePrivately = (sizeBytes, options = {}) => Reservation.#reserve(sizeBytes, options, true);
    commitWritten = (reservation, address, sizeBytes) => {
      reservation.#call('commit', address, sizeBytes, (handle, start, size) =>
        handle.commit(start, size, true),
      );
    };
  }

  /** First address. */
  readonly address: number;
  /** Length in bytes: a multiple of the page size. */
  readonly sizeBytes: number;
  #handle: NativeReservation | undefined;

  private constructor(handle: NativeReservation) {
    if (!(handle instanceof addon().Reservation)) {
      throw new LazyShadowError(
        'ERR_INVALID_ARGUMENT',
        'Use Reservation.reserve or Reservation.attach: a Reservation is not made by new.',
        { verb: 'new Reservation' },
      );
    }
    this.#handle = handle;
    this.address = handle.address;
    this.sizeBytes = handle.sizeBytes;
  }

  /**
   * Reserves addresses: no memory, no commit charge.
   * @param sizeBytes length, rounded up to whole pages
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_ADDRESS_TAKEN (with `exact`), ERR_OUT_OF_MEMORY
   */
  static reserve(sizeBytes: number | bigint, options: ReserveOptions = {}): Reservation {
    return Reservation.#reserve(sizeBytes, options, false);
  }

  static #reserve(sizeBytes: number | bigint, options: ReserveOptions, isPrivate: boolean): Reservation {
    const verb = 'reserve';
    const native = addon();
    const { pageSizeBytes, allocationGranularityBytes } = native.geometry();
    const size = checkedSize(verb, sizeBytes);
    if (typeof options !== 'object' || options === null) {
      throw new LazyShadowError('ERR_INVALID_ARGUMENT', `${verb}: the options must be an object.`, {
        verb,
        sizeBytes: size,
      });
    }
    const { address: wanted, exact = false } = options;
    if (typeof exact !== 'boolean' || (exact && wanted === undefined)) {
      throw new LazyShadowError(
        'ERR_INVALID_ARGUMENT',
        `${verb}: exact must be true or false, and true only together with an address.`,
        { verb, sizeBytes: size },
      );
    }
    const address = wanted === undefined ? 0 : checkedAddress(verb, wanted);
    requireAddressable(verb, address, size);
    if (wanted !== undefined && address === 0) {
      throw new LazyShadowError(
        'ERR_INVALID_ARGUMENT',
        `${verb}: nothing can be reserved at address 0. Leave the address out to let the system choose one.`,
        { verb, address, sizeBytes: size },
      );
    }
    if (address % allocationGranularityBytes !== 0) {
      throw new LazyShadowError(
        'ERR_INVALID_ARGUMENT',
        `${verb}: the address ${formatAddress(address)} is not a multiple of ${allocationGranularityBytes}, the unit ` +
          'in which this system places reservations. Round it.',
        { verb, address, sizeBytes: size },
      );
    }
    let mode: number = ReservationMode.Anywhere;
    if (wanted !== undefined) mode = exact ? ReservationMode.Exact : ReservationMode.Preferred;
    return guarded(
      verb,
      () => new Reservation(new native.Reservation(address, roundUp(size, pageSizeBytes), mode, isPrivate)),
    );
  }

  /**
   * The reservation that another thread of this process made at `address`: the same memory, a handle of one's own.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT if no live reservation begins there
   */
  static attach(address: number | bigint): Reservation {
    const verb = 'attach';
    const native = addon();
    const start = checkedAddress(verb, address);
    return guarded(verb, () => new Reservation(new native.Reservation(start, 0, ReservationMode.Attach)));
  }

  /** Whether this handle has been released. */
  get released(): boolean {
    return this.#handle === undefined;
  }

  /**
   * Makes a range readable, writable and charged; zero where it was not committed before, unchanged where it was.
   * Rounds outwards to whole pages.
   * @returns bytes that were not committed before
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_OUT_OF_MEMORY, ERR_RELEASED
   */
  commit(address: number | bigint, sizeBytes: number | bigint): number {
    return this.#call('commit', address, sizeBytes, (handle, start, size) => handle.commit(start, size));
  }

  /**
   * Gives pages and commit charge back and leaves the range reserved. Contents are lost, and this thread's views of
   * it detached. Rounds inwards: a page of which only a part is named stays.
   *
   * Memory that somebody else can still reach stays, with ERR_IN_USE: another handle (of another thread, say) has a
   * view of it until that handle is released, or a view's buffer was given a new owner by `transfer()`.
   * @returns bytes that were committed before
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_IN_USE, ERR_RELEASED
   */
  decommit(address: number | bigint, sizeBytes: number | bigint): number {
    return this.#call('decommit', address, sizeBytes, (handle, start, size) => handle.decommit(start, size));
  }

  /**
   * Makes the committed whole pages of a range read as zeros and returns their physical memory where the system can;
   * they stay committed and charged, and views of them stay valid.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_RELEASED
   */
  purge(address: number | bigint, sizeBytes: number | bigint): void {
    this.#call('purge', address, sizeBytes, (handle, start, size) => handle.purge(start, size));
  }

  /**
   * The bytes of a committed range, shared, not copied. Of length 0 once the memory is decommitted or released, which
   * must wait until asynchronous work that was given the view (of `node:crypto` or `node:zlib`, say) is done.
   * Asked again for the same range, a view of the same buffer.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_NOT_COMMITTED, ERR_RELEASED, ERR_UNSUPPORTED
   *   (longer than this Node's largest buffer: 4 GiB on Node 20)
   */
  bytes(address: number | bigint, sizeBytes: number | bigint): Uint8Array {
    return this.#call('bytes', address, sizeBytes, (handle, start, size) => {
      if (size > constants.MAX_LENGTH) {
        throw new LazyShadowError(
          'ERR_UNSUPPORTED',
          `bytes: this Node has no buffers longer than ${constants.MAX_LENGTH} bytes. Take several views.`,
          { verb: 'bytes', address: start, sizeBytes: size },
        );
      }
      return new Uint8Array(handle.bytes(start, size));
    });
  }

  /**
   * The committed ranges, ascending, neighbours joined.
   * @throws LazyShadowError ERR_RELEASED
   */
  committedRanges(): AddressRange[] {
    return this.#live('committedRanges').committedRanges();
  }

  /**
   * What is reserved, committed and resident, in bytes. Asks the operating system: milliseconds, not nanoseconds.
   * @throws LazyShadowError ERR_RELEASED; ERR_OS if the system does not tell
   */
  stats(): MemoryStats {
    const handle = this.#live('stats');
    return guarded('stats', () => handle.stats());
  }

  /** Detaches this thread's views and gives this handle up. Again is nothing. */
  release(): void {
    this.#handle?.release();
    this.#handle = undefined;
  }

  #live(verb: string): NativeReservation {
    if (this.#handle !== undefined) return this.#handle;
    throw new LazyShadowError(
      'ERR_RELEASED',
      `${verb}: this reservation of ${this.sizeBytes} bytes at ${formatAddress(this.address)} has been released. ` +
        'Reserve a new one.',
      { verb, address: this.address, sizeBytes: this.sizeBytes },
    );
  }

  #call<Result>(
    verb: string,
    address: number | bigint,
    sizeBytes: number | bigint,
    call: (handle: NativeReservation, address: number, sizeBytes: number) => Result,
  ): Result {
    const handle = this.#live(verb);
    const start = checkedAddress(verb, address);
    const size = checkedSize(verb, sizeBytes, start);
    requireAddressable(verb, start, size);
    return guarded(verb, () => call(handle, start, size));
  }
}
