/**
 * Writes a recording, event by event, into memory: for tests that make programs up, and for whoever records another
 * program's calls.
 *
 * It writes what it is told, and checks only that the fields hold it: a test of damaged input must be able to say
 * what no reader accepts.
 */
import { shown } from '../native/arguments.js';
import { LazyShadowError } from '../native/errors.js';
import { EVENT_BYTES, eventOffset, HEADER, HEADER_BYTES, MAGIC, type Op, VERSION, WORD } from './format.js';

/** The fields of an event; one that is left out is 0. Addresses, sizes and pcs are in bytes, whole, below 2^53. */
export interface EventFields {
  /** Who makes the call. */
  readonly goroutine?: number | undefined;
  /** The address it is about. */
  readonly addr?: number | undefined;
  /** What else it says: see {@link Op}. */
  readonly arg?: number | undefined;
  /** The instruction. */
  readonly pc?: number | undefined;
  /** 1 if a compare-and-swap succeeded. */
  readonly flags?: number | undefined;
  /** Access size: 1 for reads and writes, 4 or 8 for atomics. */
  readonly size?: number | undefined;
}

/** A recording that is being made, in memory. */
export class TraceWriter {
  #bytes = new Uint8Array(HEADER_BYTES + 1024 * EVENT_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #eventCount = 0;

  /** Events written so far. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /**
   * Adds an event.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT: a value that its field cannot hold; nothing is written then
   */
  event(op: Op | number, fields: EventFields = {}): this {
    const { goroutine = 0, addr = 0, arg = 0, pc = 0, flags = 0, size = 0 } = fields;
    fits('op', op, 2 ** 8);
    fits('flags', flags, 2 ** 8);
    fits('size', size, 2 ** 16);
    fits('goroutine', goroutine, 2 ** 32);
    fits('addr', addr, 2 ** 53);
    fits('arg', arg, 2 ** 53);
    fits('pc', pc, 2 ** 53);
    const at = eventOffset(this.#eventCount);
    this.#reserve(at + EVENT_BYTES);
    this.#put32(at + 4 * WORD.head, op | (flags << 8) | (size << 16));
    this.#put32(at + 4 * WORD.goroutine, goroutine);
    this.#put64(at + 4 * WORD.addrLow, addr);
    this.#put64(at + 4 * WORD.argLow, arg);
    this.#put64(at + 4 * WORD.pcLow, pc);
    this.#eventCount++;
    return this;
  }

  /**
   * The whole recording. More events may follow, and another finish.
   * @param symbolLines lines of symbol text without their newlines: see lib/trace/symbols.ts
   */
  finish(symbolLines: readonly string[] = []): Uint8Array {
    const symbolOffset = eventOffset(this.#eventCount);
    this.#bytes.set(Buffer.from(MAGIC, 'latin1'), HEADER.magic);
    this.#put64(HEADER.version, VERSION);
    this.#put64(HEADER.eventCount, this.#eventCount);
    this.#put64(HEADER.symbolOffset, symbolOffset);
    this.#put64(HEADER.pcCount, symbolLines.length);
    const text = Buffer.from(symbolLines.map((line) => `${line}\n`).join(''));
    const recording = new Uint8Array(symbolOffset + text.length);
    recording.set(this.#bytes.subarray(0, symbolOffset));
    recording.set(text, symbolOffset);
    return recording;
  }

  #put32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  #put64(offset: number, value: number): void {
    this.#put32(offset, value % 2 ** 32);
    this.#put32(offset + 4, Math.floor(value / 2 ** 32));
  }

  #reserve(byteLength: number): void {
    if (byteLength <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * this.#bytes.length);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

function fits(field: string, value: number, limit: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && value < limit) return;
  throw new LazyShadowError(
    'ERR_INVALID_ARGUMENT',
    `${field} is ${shown(value)}, expected a whole number from 0 to below ${limit}. Give one that the field can hold.`,
    { verb: 'event' },
  );
}
