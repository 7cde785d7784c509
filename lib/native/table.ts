/**
 * Tables of 32-bit words that grow where they are: as many addresses are reserved as a table can ever need, and committed
 * as far as it is used.
 *
 *     words     0 ─────────────── length ───────────────────────── limit
 *               committed, zero    reserved: costs nothing, and must not be touched
 *
 * Nothing is copied when a table grows, and its array is one and the same for good. So code that captures the array in a
 * `const` has its place built in when V8 compiles it, and reads a word in three instructions; through an object, whose
 * array may be another one the next time, it takes ten (docs/performance.md). A number that may have come of a call is
 * stored with `| 0`, which changes no value: V8 knows it for an integer then, and else goes by way of a double.
 *
 * Invariants: words below `length` are committed, and zero until somebody writes them. Whoever has `words` holds the
 * table too, which keeps the memory, and touches nothing from `length` on: that would end the process.
 */
import { addon } from './addon.js';
import { LazyShadowError } from './errors.js';
import { guarded } from './failures.js';
import { commitWritten, type Reservation, reservePrivately } from './reservation.js';

const WORD_BYTES = 4;

/** What a table grows by: little enough to be committed in vain, and enough pages to be made at once. */
const STEP_BYTES = 64 * 1024;

/** What a table that starts over keeps, because programs alike will want it again, and fresh pages cost more than these. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** The addresses of all tables of one owner: as many as a buffer of Node 20 has bytes. */
const SPACE_BYTES = 2 ** 32;

/** Under `ulimit -v` or in an emulator tables get by with less, down to this. */
const LEAST_BYTES = 64 * 1024 * 1024;

/** What the tables may take of the addresses that `ulimit -v` leaves: the rest is for the shadow, and for Node. */
const FAIR_PART = 1 / 4;

/**
 * Addresses that the tables of one owner share. One buffer for all, because V8 takes the length of each new one for memory
 * in use and collects garbage (native/views.h).
 */
export class TableSpace {
  readonly #memory: Reservation;
  readonly #buffer: ArrayBuffer;
  #usedBytes = 0;

  /** @throws LazyShadowError ERR_OUT_OF_MEMORY */
  constructor() {
    this.#memory = reserved();
    const { address, sizeBytes } = this.#memory;
    const windows = new (addon().Windows)();
    this.#buffer = guarded('reserve', () => windows.open(address, sizeBytes));
  }

  /**
   * A new table.
   * @param what what it is a table of, for errors: "the program has more <what> than …"
   * @param part its part of all addresses; so much of LEAST_BYTES must be whole pages
   */
  table(what: string, part: number): Table {
    const sizeBytes = this.#memory.sizeBytes * part;
    const words = new Int32Array(this.#buffer, this.#usedBytes, sizeBytes / WORD_BYTES);
    const address = this.#memory.address + this.#usedBytes;
    this.#usedBytes += sizeBytes;
    return new Table(what, words, address, this.#memory);
  }
}

export class Table {
  /** All words that there can be; those below `length` may be touched. */
  readonly words: Int32Array;
  /** What it is a table of, for errors. */
  readonly #what: string;
  readonly #address: number;
  readonly #memory: Reservation;
  #length = 0;

  /** Use {@link TableSpace.table}. */
  constructor(what: string, words: Int32Array, address: number, memory: Reservation) {
    this.words = words;
    this.#what = what;
    this.#address = address;
    this.#memory = memory;
    this.reserve(1);
  }

  /** Words that may be touched. */
  get length(): number {
    return this.#length;
  }

  /** What is committed. */
  get bytes(): number {
    return this.#length * WORD_BYTES;
  }

  /**
   * Makes sure that words below `count` may be touched. A failure changes nothing.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY
   */
  reserve(count: number): void {
    if (count <= this.#length) return;
    const address = this.#address;
    const sizeBytes = this.words.byteLength;
    if (count * WORD_BYTES > sizeBytes) {
      throw new LazyShadowError(
        'ERR_OUT_OF_MEMORY',
        `The program has more ${this.#what} than ${sizeBytes} bytes hold. Ask for less, a part of the program at a time, ` +
          'or raise the limit of address space (ulimit -v) if there is one.',
        { verb: 'commit', address, sizeBytes },
      );
    }
    const whole = Math.min(sizeBytes, Math.ceil((count * WORD_BYTES) / STEP_BYTES) * STEP_BYTES);
    commitWritten(this.#memory, address + this.bytes, whole - this.bytes);
    this.#length = whole / WORD_BYTES;
  }

  /** All words are zero again, and what a large program had goes back to the system, if that takes it. */
  reset(): void {
    if (this.bytes > KEPT_BYTES) {
      try {
        this.#memory.decommit(this.#address + KEPT_BYTES, this.bytes - KEPT_BYTES);
        this.#length = KEPT_BYTES / WORD_BYTES;
      } catch (error) {
        if (!(error instanceof LazyShadowError)) throw error;
      }
    }
    this.words.fill(0, 0, this.#length);
  }
}

/** Addresses for SPACE_BYTES, or for half of it, or half of that. */
function reserved(): Reservation {
  for (let size = Math.min(SPACE_BYTES, fairBytes()); ; size /= 2) {
    try {
      return reservePrivately(size);
    } catch (error) {
      if (size <= LEAST_BYTES || !(error instanceof LazyShadowError)) throw error;
    }
  }
}

/** The power of 2 below what is fair under `ulimit -v`. */
function fairBytes(): number {
  const native = addon();
  const { virtualLimitBytes } = native.systemMemory();
  if (virtualLimitBytes === null) return SPACE_BYTES;
  const left = virtualLimitBytes - native.processMemory().virtualBytes;
  return Math.max(LEAST_BYTES, 2 ** Math.floor(Math.log2(Math.max(1, left * FAIR_PART))));
}
