/**
 * The one error class of the project.
 *
 * Every failure that a caller can meet is a `LazyShadowError` whose `code` can be compared, and whose
 * fields say what was tried (`verb`), where (`address`), on how much (`sizeBytes`), what the operating system
 * answered (`osCode`) and, in the last sentence of the message, what to do about it.
 *
 * Invariant: when one of these is thrown, the state of the object that threw it is as before the call.
 */

/** What went wrong, as a word to compare. */
export type LazyShadowErrorCode =
  /** A value of the wrong type, or one that no call could mean: NaN, a fraction, a negative, a size of 0. */
  | 'ERR_INVALID_ARGUMENT'
  /** A range that wraps, or leaves the reservation or the layout that it must be in. */
  | 'ERR_OUT_OF_RANGE'
  /** The operating system has no memory, commit charge, address space or mapping left for the request. */
  | 'ERR_OUT_OF_MEMORY'
  /** Something else is mapped where the memory must be. */
  | 'ERR_ADDRESS_TAKEN'
  /** The object has been released. */
  | 'ERR_RELEASED'
  /** The range, or a part of it, is reserved but not committed. */
  | 'ERR_NOT_COMMITTED'
  /** Another thread still looks at the memory. */
  | 'ERR_IN_USE'
  /** The operating system refused for a reason that none of the other codes name; see `osCode`. */
  | 'ERR_OS'
  /** This platform or build cannot do it. */
  | 'ERR_UNSUPPORTED'
  /** A recording that cannot be read, or does not say what a recording must say. */
  | 'ERR_BAD_TRACE'
  /** A program that cannot be recorded: no Go, no C compiler, a Go that the recorder does not know. */
  | 'ERR_CANNOT_RECORD'
  /** A file that a command was to write. */
  | 'ERR_CANNOT_WRITE'
  /** A heap operation on an address that is no allocated block. */
  | 'ERR_NOT_ALLOCATED'
  /** A structure broke its own invariant: a defect of lazyshadow, please report it. */
  | 'ERR_CORRUPT'
  /** A call that the race runtime's protocol does not allow here: an unknown goroutine, an end before a start. */
  | 'ERR_INVALID_USE'
  /** The native addon could not be found or loaded. */
  | 'ERR_ADDON_MISSING';

/** The particulars of a {@link LazyShadowError}; what does not apply is left out. */
export interface LazyShadowErrorDetails {
  /** The operation that failed, by the name the caller used: `commit`, `mapShadow`, `reserve` … */
  readonly verb?: string | undefined;
  /** First address of the range that the operation was about. */
  readonly address?: number | undefined;
  /** Length of that range in bytes. */
  readonly sizeBytes?: number | undefined;
  /** errno on Linux and macOS, GetLastError() on Windows. */
  readonly osCode?: number | undefined;
  /** The error that caused this one. */
  readonly cause?: unknown;
}

// Two copies of this module can be loaded in one process (one for `import`, one for `require`); the brand
// makes `instanceof` mean the same in both.
const BRAND = Symbol.for('lazyshadow.LazyShadowError');

/** The class of every error that lazyshadow throws on purpose. */
export class LazyShadowError extends Error {
  /** What `toString` begins with. */
  override readonly name = 'LazyShadowError';
  /** What went wrong, as a word to compare. */
  readonly code: LazyShadowErrorCode;
  /** The operation that failed, by the name the caller used. */
  readonly verb: string | undefined;
  /** First address of the range that it was about. */
  readonly address: number | undefined;
  /** Length of that range. */
  readonly sizeBytes: number | undefined;
  /** errno on Linux and macOS, GetLastError() on Windows. */
  readonly osCode: number | undefined;

  /**
   * An error of the library. Callers have no need to make one.
   * @param details what is known of the failure; what is left out is undefined
   */
  constructor(code: LazyShadowErrorCode, message: string, details: LazyShadowErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.verb = details.verb;
    this.address = details.address;
    this.sizeBytes = details.sizeBytes;
    this.osCode = details.osCode;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Whether a value is one, made by this copy of the library or by another. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

/** An address as every message and report of the project prints it: 0x and at least 12 hexadecimal digits. */
export function formatAddress(address: number): string {
  return `0x${address.toString(16).padStart(12, '0')}`;
}
