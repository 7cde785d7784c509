/**
 * Go's seven Sys verbs (malloc.h; mem_linux.c, mem_darwin.c, mem_windows.c), the heap's only way to memory.
 *
 *     sysReserve   address space, no memory           sysAlloc   memory anywhere, at once
 *     sysMap       memory in what sysReserve gave     sysFree    what sysAlloc gave, back
 *     sysUnused    contents not needed                sysFault   no memory any more, still reserved
 *     sysUsed      will be used again
 *
 * What the platforms do differently is the data in PLATFORMS, so each platform's way runs on every machine.
 *
 * Invariants: every byte of the heap belongs to exactly one piece (a reservation of lib/native), pieces are
 * sorted by address; a verb that throws leaves what was. `null` is Go's nil: the answer "no", not a defect.
 */
import { formatAddress, LazyShadowError } from '../native/errors.js';

/** A reservation, as lib/native's `Reservation` gives it. */
export interface SysReservation {
  readonly address: number;
  readonly sizeBytes: number;
  commit(address: number, sizeBytes: number): number;
  decommit(address: number, sizeBytes: number): number;
  /** Contents become undefined or zero; the memory stays committed. */
  purge(address: number, sizeBytes: number): void;
  release(): void;
  committedRanges(): readonly {
    readonly address: number;
    readonly sizeBytes: number;
  }[];
  stats(): {
    readonly osCommittedBytes: number;
    readonly residentBytes: number;
  };
}

/**
 * Buffers of at most 1 GiB each, over any memory, committed or not: never given to the public but over allocated
 * blocks. `close` detaches all of them.
 */
export interface WindowSet {
  open(address: number, sizeBytes: number): ArrayBuffer;
  close(): void;
}

/** What the heap needs of lib/native. A test may bring a simpler one, or one that runs out. */
export interface OsMemory {
  reserve(
    sizeBytes: number,
    options?: { readonly address?: number; readonly exact?: boolean },
  ): SysReservation;
  /** An empty set of windows. */
  newWindows(): WindowSet;
  readonly pageSizeBytes: number;
  readonly allocationGranularityBytes: number;
}

/** What one operating system's mem_*.c does its own way. */
export interface SysPlatform {
  /**
   * sysReserve of more than this only checks that 64 KiB at the hint can be had: people who set `ulimit -v`
   * complain of reservations. Infinity: reserves everything.
   */
  readonly reserveOnlyChecksAboveBytes: number;
  /** sysUnused: purge (madvise; the memory stays committed) or decommit (the charge goes back). */
  readonly unused: 'purge' | 'decommit';
  /** Whether pages that went through sysUnused surely read as zeros: MADV_FREE may keep their contents. */
  readonly unusedReadsZero: boolean;
  /** MaxMem: the most that the 64-bit arena can hold. */
  readonly maxMemBytes: number;
}

const GiB = 2 ** 30;

export const PLATFORMS: Readonly<Record<'linux' | 'darwin' | 'win32', SysPlatform>> = {
  linux: {
    reserveOnlyChecksAboveBytes: 4 * GiB,
    unused: 'purge',
    unusedReadsZero: true,
    maxMemBytes: 128 * GiB,
  },
  darwin: {
    reserveOnlyChecksAboveBytes: Infinity,
    unused: 'purge',
    unusedReadsZero: false,
    maxMemBytes: 128 * GiB,
  },
  win32: {
    reserveOnlyChecksAboveBytes: Infinity,
    unused: 'decommit',
    unusedReadsZero: true,
    // Windows charges page tables of reserved memory against the commit limit.
    maxMemBytes: 32 * GiB,
  },
};

export type SysPlatformName = keyof typeof PLATFORMS;

/** The platform whose ways this process follows; systems that Go lists with Linux follow Linux. */
export function thisPlatform(): SysPlatformName {
  return process.platform === 'win32' || process.platform === 'darwin' ? process.platform : 'linux';
}

/** The bytes that sysReserve tries at the hint when it only checks. */
const CHECK_BYTES = 64 * 1024;

/** What sysMap reserves at a time where sysReserve only checked: small against `ulimit -v`, large against 1 MiB. */
const UNRESERVED_STEP_BYTES = 64 * 2 ** 20;

/** Step at which the 32-bit form looks for room: the coarsest allocation granularity, Windows'. */
const PLACE_STEP_BYTES = 64 * 1024;

/** Where sysReserve put something. `reserved` false: it only checked, and sysMap will find out. */
export interface SysRegion {
  readonly address: number;
  readonly reserved: boolean;
}

/** The addresses that a 32-bit process has, played on a 64-bit machine. */
export interface AddressWindow {
  readonly address: number;
  readonly sizeBytes: number;
  /** Where the system starts to look for room, a multiple of 64 KiB: a third of the way up on 32-bit Linux. */
  readonly mappingBase: number;
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof LazyShadowError &&
    (error.code === 'ERR_OUT_OF_MEMORY' || error.code === 'ERR_ADDRESS_TAKEN')
  );
}

export class Sys {
  readonly os: OsMemory;
  readonly platform: SysPlatform;
  /** Set in the 32-bit form: "anywhere" then means anywhere in it. */
  readonly within: AddressWindow | undefined;
  #pieces: SysReservation[] = [];

  constructor(os: OsMemory, platform: SysPlatform, within?: AddressWindow) {
    this.os = os;
    this.platform = platform;
    this.within = within;
  }

  /** The reservations that hold the heap's memory, by address. */
  get pieces(): readonly SysReservation[] {
    return this.#pieces;
  }

  /** Rounds up to whole pages of the operating system. */
  roundUp(sizeBytes: number): number {
    const page = this.os.pageSizeBytes;
    return Math.ceil(sizeBytes / page) * page;
  }

  /**
   * Address space at `hint`, else anywhere (where the platform says so), else null. Where it only checks, it checks
   * `firstUse` too, from where on memory will be mapped: Go's programs have one heap, but here another may begin there.
   * Where it reserves, `otherHints` are tried before anywhere is.
   */
  sysReserve(
    hint: number | undefined,
    sizeBytes: number,
    { firstUse = hint, otherHints = [] }: { firstUse?: number; otherHints?: readonly number[] } = {},
  ): SysRegion | null {
    if (hint !== undefined && sizeBytes > this.platform.reserveOnlyChecksAboveBytes) {
      for (const address of new Set([hint, firstUse ?? hint])) {
        const probe = this.#reserveAt(address, CHECK_BYTES);
        if (probe === null) return null;
        probe.release();
      }
      return { address: hint, reserved: false };
    }
    let piece: SysReservation | null = null;
    for (const at of hint === undefined ? [] : [hint, ...otherHints])
      piece ??= this.#reserveAt(at, sizeBytes);
    piece ??= this.#reserveAnywhere(sizeBytes);
    if (piece === null) return null;
    this.#add(piece);
    return { address: piece.address, reserved: true };
  }

  /**
   * Memory at [address, address + sizeBytes), zero. Go ends the program if there is none, here it throws.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY, or ERR_ADDRESS_TAKEN: the address space conflict of an unreserved
   * region that something else has been mapped into. `growsDown`: the next range will end where this one begins.
   */
  sysMap(address: number, sizeBytes: number, reserved: boolean, growsDown = false): void {
    if (!reserved) this.#reserveThere(address, sizeBytes, growsDown);
    this.#commit(address, sizeBytes);
  }

  /** Zeroed memory wherever the operating system likes; null if there is none. */
  sysAlloc(sizeBytes: number): number | null {
    const piece = this.#reserveAnywhere(sizeBytes);
    if (piece === null) return null;
    try {
      piece.commit(piece.address, sizeBytes);
    } catch (error) {
      piece.release();
      if (isRefusal(error)) return null;
      throw error;
    }
    this.#add(piece);
    return piece.address;
  }

  /** The contents of the range are not needed; `sysUsed` comes before the next use. */
  sysUnused(address: number, sizeBytes: number): void {
    const verb = this.platform.unused;
    this.#eachPart(address, sizeBytes, (piece, from, size) => {
      piece[verb](from, size);
    });
  }

  /** The range will be used again. @throws LazyShadowError ERR_OUT_OF_MEMORY where sysUnused gave the charge back. */
  sysUsed(address: number, sizeBytes: number): void {
    if (this.platform.unused === 'decommit') this.#commit(address, sizeBytes);
  }

  /** No memory any more, and no access; the address space stays reserved. */
  sysFault(address: number, sizeBytes: number): void {
    this.#eachPart(address, sizeBytes, (piece, from, size) => {
      piece.decommit(from, size);
    });
  }

  /** Gives the whole of what `sysAlloc` or `sysReserve` made at `address` back. */
  sysFree(address: number): void {
    const index = this.#indexOf(address);
    const piece = this.#pieces[index];
    if (piece === undefined || piece.address !== address) throw this.#noPiece('sysFree', address);
    piece.release();
    this.#pieces.splice(index, 1);
  }

  /** Gives everything back. */
  releaseAll(): void {
    for (const piece of this.#pieces) piece.release();
    this.#pieces = [];
  }

  #reserveAt(address: number, sizeBytes: number): SysReservation | null {
    const { within } = this;
    if (address % this.os.allocationGranularityBytes !== 0) return null; // nothing can begin there
    if (within && (address < within.address || address + sizeBytes > within.address + within.sizeBytes))
      return null;
    return this.#try(sizeBytes, { address, exact: true });
  }

  /** Where "the operating system likes": in the 32-bit form, the lowest room from the window's mapping base on. */
  #reserveAnywhere(sizeBytes: number): SysReservation | null {
    const { within } = this;
    if (within === undefined) return this.#try(sizeBytes);
    const end = within.address + within.sizeBytes;
    let address = within.mappingBase;
    while (address + sizeBytes <= end) {
      const inTheWay = this.#pieces[this.#indexOf(address + sizeBytes - 1)];
      if (inTheWay !== undefined && inTheWay.address + inTheWay.sizeBytes > address) {
        address = Math.ceil((inTheWay.address + inTheWay.sizeBytes) / PLACE_STEP_BYTES) * PLACE_STEP_BYTES;
        continue;
      }
      try {
        return this.os.reserve(sizeBytes, { address, exact: true });
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if ((error as LazyShadowError).code === 'ERR_OUT_OF_MEMORY') return null;
        address += PLACE_STEP_BYTES; // something of another owner is there
      }
    }
    return null;
  }

  /**
   * Address space for sysMap in a region that sysReserve only checked, exactly there. More than is asked if it is
   * free, so that a large heap has few reservations; just what is asked if not.
   */
  #reserveThere(address: number, sizeBytes: number, growsDown: boolean): void {
    let from = address;
    let to = address + sizeBytes;
    for (let piece = this.#pieceOrNone(from); piece && from < to; piece = this.#pieceOrNone(from)) {
      from = piece.address + piece.sizeBytes;
    }
    for (let piece = this.#pieceOrNone(to - 1); piece && from < to; piece = this.#pieceOrNone(to - 1)) {
      to = piece.address;
    }
    if (from >= to) return;
    const more = UNRESERVED_STEP_BYTES - (to - from);
    const generous =
      more <= 0 ? null : this.#reserveAt(growsDown ? from - more : from, UNRESERVED_STEP_BYTES);
    if (generous !== null) {
      this.#add(generous);
      return;
    }
    try {
      this.#add(this.os.reserve(to - from, { address: from, exact: true }));
    } catch (error) {
      if (!(error instanceof LazyShadowError) || error.code !== 'ERR_ADDRESS_TAKEN') throw error;
      throw new LazyShadowError(
        'ERR_ADDRESS_TAKEN',
        `runtime: address space conflict: map(${formatAddress(from)}): something else has been mapped there since the heap was made. Give the heap another hint, or make it earlier.`,
        {
          verb: 'sysMap',
          address: from,
          sizeBytes: to - from,
          osCode: error.osCode,
          cause: error,
        },
      );
    }
  }

  /** Commits a range of reserved address space; all of it or nothing. */
  #commit(address: number, sizeBytes: number): void {
    let done = address;
    try {
      this.#eachPart(address, sizeBytes, (piece, from, size) => {
        piece.commit(from, size);
        done = from + size;
      });
    } catch (error) {
      if (done > address) this.sysFault(address, done - address);
      throw error;
    }
  }

  #try(sizeBytes: number, options?: { address: number; exact: boolean }): SysReservation | null {
    try {
      return this.os.reserve(sizeBytes, options);
    } catch (error) {
      if (isRefusal(error)) return null;
      throw error;
    }
  }

  /** Index of the last piece that starts at or below `address`, −1 if none does. */
  #indexOf(address: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#pieces[middle] as SysReservation).address <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #pieceOrNone(address: number): SysReservation | undefined {
    const piece = this.#pieces[this.#indexOf(address)];
    return piece === undefined || address >= piece.address + piece.sizeBytes ? undefined : piece;
  }

  #pieceAt(address: number): SysReservation {
    const piece = this.#pieceOrNone(address);
    if (piece === undefined) throw this.#noPiece('sys', address);
    return piece;
  }

  #add(piece: SysReservation): void {
    this.#pieces.splice(this.#indexOf(piece.address) + 1, 0, piece);
  }

  /** Calls for each piece's part of a range: Windows decommits within one allocation only. */
  #eachPart(
    address: number,
    sizeBytes: number,
    use: (piece: SysReservation, address: number, sizeBytes: number) => void,
  ): void {
    const end = address + sizeBytes;
    for (let from = address; from < end;) {
      const piece = this.#pieceAt(from);
      const size = Math.min(end, piece.address + piece.sizeBytes) - from;
      use(piece, from, size);
      from += size;
    }
  }

  #noPiece(verb: string, address: number): LazyShadowError {
    return new LazyShadowError(
      'ERR_CORRUPT',
      `${verb}: ${formatAddress(address)} is in no memory of this heap. Please report this.`,
      { verb, address },
    );
  }
}
