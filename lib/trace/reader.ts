/**
 * Reads a recording as a stream: header, then events in batches, then the symbol text.
 *
 * Every event is checked (lib/trace/validate.ts) before anyone outside sees it, so whoever reads a recording may trust it.
 * Replay alone takes them unchecked, and checks each when it comes to it.
 * A recording of any size is read in the memory of two batches, one chunk of the source and the symbol text.
 *
 *     const reader = await TraceReader.open('program.trc.gz');
 *     for await (const { words, count } of reader.batches()) …   // 8 words an event, as lib/trace/format.ts draws them
 *     const symbols = await reader.symbols();                    // also checks the end of the recording
 *     await reader.close();
 *
 * Invariant: what is wrong with a recording is one LazyShadowError, ERR_BAD_TRACE, that names the file, the event or
 * the byte, and what was expected.
 */
import { Readable } from 'node:stream';
import { LazyShadowError } from '../native/errors.js';
import { badTrace } from './errors.js';
import {
  EVENT_BYTES,
  EVENT_WORDS,
  eventOffset,
  HEADER,
  HEADER_BYTES,
  MAGIC,
  type TraceHeader,
  UNFINISHED_MAGIC,
  VERSION,
} from './format.js';
import { borrowedSource, type ByteSource, inputName, openSource, type TraceInput } from './source.js';
import { type SymbolTable, SymbolTableBuilder } from './symbols.js';
import { EventValidator } from './validate.js';

/** Some events in a row, each checked. */
export interface EventBatch {
  /** Number of the first in the recording, from 0. */
  readonly firstEvent: number;
  /** How many. */
  readonly count: number;
  /** 8 little-endian 32-bit words an event, exactly count × 8 long. Valid until the next batch is asked for. */
  readonly words: Int32Array;
}

/** The events from number `from` up to `end`. Only of what is at hand as a whole, if they are not all. */
export interface EventRange {
  readonly from: number;
  readonly end: number;
}

/** Some events in a row, and what is to check them, each once and in order. */
export interface UncheckedBatch extends EventBatch {
  readonly validator: EventValidator;
}

/**
 * As {@link TraceReader.batches}, for who checks events as it acts on them. Not for the public: an event that the
 * validator has not admitted must not be acted on.
 */
export let uncheckedBatches: (
  reader: TraceReader,
  events?: EventRange,
) => AsyncIterableIterator<UncheckedBatch>;

/** An open plain file, as other threads of the process can read it. A plain value, since it goes from thread to thread. */
export interface LentRecording {
  readonly name: string;
  readonly descriptor: number;
  readonly sizeBytes: number;
}

/**
 * Whether other threads can read a recording that nobody has read from: it is a plain file.
 * @throws LazyShadowError ERR_INVALID_USE: it was read from, or is closed
 */
export let isLendable: (reader: TraceReader) => boolean;

/** Lends a recording that can be lent to whatever `use` does with it; it is not closed before that has ended. */
export let lend: <T>(
  reader: TraceReader,
  use: (recording: LentRecording) => Promise<T>,
) => Promise<T | undefined>;

/** A reader of a recording that another one has lent, and closes. */
export let borrow: (recording: LentRecording) => Promise<TraceReader>;

/** Whether the events of a recording can be read a second time: it is a file, packed or not, or in memory. */
export let isRereadable: (reader: TraceReader) => boolean;

/** Has `use` read a recording that can be read again, from its beginning; it is not closed before that has ended. */
export let reread: <T>(reader: TraceReader, use: (again: TraceReader) => Promise<T>) => Promise<T>;

/** What to throw when event number `index` of a batch was not admitted. */
export let wrongEvent: (reader: TraceReader, batch: UncheckedBatch, index: number) => LazyShadowError;

/** Events in a batch: 2 MiB, which a core's second-level cache holds. */
export const BATCH_EVENTS = 64 * 1024;
const SYMBOL_CHUNK_BYTES = 256 * 1024;

/** A recording that is open, read once from its beginning to its end. */
export class TraceReader {
  /** What messages call the recording: its path, `standard input`, `stream` or `recording in memory`. */
  readonly name: string;
  /** What its first 64 bytes say. */
  readonly header: TraceHeader;
  readonly #source: ByteSource;
  /** How far the one pass over the source has come. */
  #state: 'at events' | 'in events' | 'at symbols' | 'closed' = 'at events';
  #symbols: Promise<SymbolTable> | undefined;
  /** Ends when nobody else reads from the source. */
  #loan: Promise<unknown> | undefined;
  /** For the events of two batches: one in use, one being read. Made when they do not lie in memory as they are. */
  readonly #buffers: Int32Array[] = [];
  /** Which of them was filled last. */
  #turn = 0;

  static {
    uncheckedBatches = (reader, events) => reader.#unchecked(events);
    isLendable = (reader) => reader.#isLendable();
    lend = (reader, use) => reader.#lend(use);
    borrow = ({ name, descriptor, sizeBytes }) =>
      TraceReader.#of(borrowedSource(descriptor, sizeBytes, name), name);
    isRereadable = (reader) => reader.#source.again !== undefined;
    reread = (reader, use) => reader.#reread(use);
    wrongEvent = (reader, batch, index) => reader.#wrongEvent(batch, index);
  }

  private constructor(name: string, header: TraceHeader, source: ByteSource) {
    this.name = name;
    this.header = header;
    this.#source = source;
  }

  /**
   * Opens a recording and reads its header. The reader owns the source from here on: {@link close} closes it.
   * @param source a path, `-` for standard input, the bytes themselves, or a stream of bytes; each may be gzip
   * @throws LazyShadowError ERR_INVALID_ARGUMENT: none of these; ERR_BAD_TRACE: it cannot be read, or its header is wrong
   */
  static async open(source: TraceInput): Promise<TraceReader> {
    if (typeof source !== 'string' && !(source instanceof Uint8Array) && !(source instanceof Readable))
      throw new LazyShadowError(
        'ERR_INVALID_ARGUMENT',
        `a recording is opened from ${source === null ? 'null' : typeof source}, expected a path, '-', bytes or a stream. Give one of these.`,
        { verb: 'readTrace' },
      );
    const name = inputName(source);
    return TraceReader.#of(await openSource(source, name), name);
  }

  static async #of(source: ByteSource, name: string): Promise<TraceReader> {
    try {
      return new TraceReader(name, await readHeader(source, name), source);
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /**
   * The events, in order, in batches of up to 65 536. May be asked for once.
   * @throws LazyShadowError ERR_BAD_TRACE: the first event that is wrong, or an end before the last; the batches
   * before it were given. ERR_INVALID_USE: asked for a second time, or closed.
   */
  async *batches(): AsyncIterableIterator<EventBatch> {
    for await (const batch of this.#unchecked()) {
      const wrong = batch.validator.check(batch.words, 0, batch.count);
      if (wrong >= 0) throw this.#wrongEvent(batch, wrong);
      yield batch;
    }
  }

  async *#unchecked(events?: EventRange): AsyncIterableIterator<UncheckedBatch> {
    if (this.#state !== 'at events') throw this.#misuse('batches are read once, from an open reader');
    this.#state = 'in events';
    const { from, end } = events ?? { from: 0, end: this.header.eventCount };
    if (from > 0) this.#source.moveTo(eventOffset(from));
    const validator = new EventValidator();
    let ahead = this.#readAhead(from, end);
    try {
      for (let firstEvent = from; firstEvent < end; firstEvent += BATCH_EVENTS) {
        const count = Math.min(end - firstEvent, BATCH_EVENTS);
        const words = await ahead;
        ahead = this.#readAhead(firstEvent + count, end);
        yield { firstEvent, count, words, validator };
        // Closing while a batch is held must not end in a read from a closed source.
        if (this.#state !== 'in events') throw this.#misuse('batches are read from an open reader');
      }
    } finally {
      // Who wants no more may close the file next. A stream may have no more for as long as it likes.
      if (this.#source.sizeBytes !== undefined) await ahead.catch(() => undefined);
    }
    this.#state = 'at symbols';
  }

  #isLendable(): boolean {
    if (this.#state !== 'at events')
      throw this.#misuse('several workers read a recording from an open reader');
    return this.#source.descriptor !== undefined;
  }

  async #lend<T>(use: (recording: LentRecording) => Promise<T>): Promise<T | undefined> {
    const { descriptor, sizeBytes } = this.#source;
    if (!this.#isLendable() || descriptor === undefined || sizeBytes === undefined) return undefined;
    const used = use({ name: this.name, descriptor, sizeBytes });
    this.#loan = used.catch(() => undefined);
    return used;
  }

  async #reread<T>(use: (again: TraceReader) => Promise<T>): Promise<T> {
    const { again } = this.#source;
    if (this.#state === 'closed' || again === undefined)
      throw this.#misuse('events are read again from an open reader of a file or of bytes');
    const used = this.#openAgain(again, use);
    this.#loan = used.catch(() => undefined);
    return used;
  }

  async #openAgain<T>(again: () => Promise<ByteSource>, use: (again: TraceReader) => Promise<T>): Promise<T> {
    const reader = await TraceReader.#of(await again(), this.name);
    try {
      return await use(reader);
    } finally {
      await reader.close();
    }
  }

  #wrongEvent({ firstEvent, words, validator }: UncheckedBatch, index: number): LazyShadowError {
    return badTrace(this.name, `event ${firstEvent + index}`, validator.explain(words, index));
  }

  /**
   * The symbols, whose text is read and checked to the end of the recording. Asking again gives the same table.
   *
   * After the batches; for a plain file, or for plain bytes, at any time.
   * @throws LazyShadowError ERR_BAD_TRACE: text that is not what the header promises, or a line that is wrong;
   * ERR_INVALID_USE: asked of a stream before its events were read, or closed
   */
  async symbols(): Promise<SymbolTable> {
    if (this.#symbols === undefined) {
      const seekable = this.#source.sizeBytes !== undefined;
      if (this.#state === 'closed' || (!seekable && this.#state !== 'at symbols'))
        throw this.#misuse('symbols are read after the events, from an open reader');
      this.#symbols = this.#readSymbols(seekable);
    }
    return this.#symbols;
  }

  /** Closes the file or stream, once no worker reads it any more. Harmless when closed already. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    // Else the system could give its descriptor to another file.
    await this.#loan;
    await this.#source.close();
  }

  /** Begins to read the batch at `firstEvent`, which so comes in while the one before it is in use. Empty behind the last. */
  #readAhead(firstEvent: number, end: number): Promise<Int32Array> {
    const words = this.#nextWords(firstEvent, Math.min(end - firstEvent, BATCH_EVENTS));
    // Whoever asks for the batch is told; nobody else is, should nobody ask.
    words.catch(() => undefined);
    return words;
  }

  /** The next `count` events, in place if the source has them aligned in memory, else in a buffer of this reader. */
  async #nextWords(firstEvent: number, count: number): Promise<Int32Array> {
    const byteLength = count * EVENT_BYTES;
    const inPlace = this.#source.view(byteLength);
    if (inPlace !== undefined && inPlace.byteOffset % Int32Array.BYTES_PER_ELEMENT === 0)
      return new Int32Array(inPlace.buffer, inPlace.byteOffset, count * EVENT_WORDS);
    this.#turn = 1 - this.#turn;
    const buffer = (this.#buffers[this.#turn] ??= new Int32Array(count * EVENT_WORDS));
    const words = buffer.subarray(0, count * EVENT_WORDS);
    const target = new Uint8Array(words.buffer, 0, byteLength);
    if (inPlace !== undefined) target.set(inPlace);
    const length = inPlace === undefined ? await this.#source.read(target) : byteLength;
    if (length < byteLength)
      throw badTrace(
        this.name,
        `event ${firstEvent + Math.floor(length / EVENT_BYTES)}`,
        `the recording ends at byte ${eventOffset(firstEvent) + length}, expected ${this.header.eventCount} events up to byte ${this.header.symbolOffset}`,
      );
    return words;
  }

  async #readSymbols(seekable: boolean): Promise<SymbolTable> {
    const { symbolOffset, pcCount } = this.header;
    const source = this.#source;
    const builder = new SymbolTableBuilder(this.name, pcCount);
    // A byte more than there is, to see that it ends there.
    const most = (source.sizeBytes ?? Number.POSITIVE_INFINITY) - symbolOffset + 1;
    const chunk = new Uint8Array(Math.min(SYMBOL_CHUNK_BYTES, most));
    for (let position = symbolOffset; ; position += chunk.length) {
      const length = seekable ? await source.readAt(chunk, position) : await source.read(chunk);
      builder.push(chunk.subarray(0, length));
      if (length < chunk.length) return builder.finish();
    }
  }

  #misuse(expected: string): LazyShadowError {
    const state = this.#state === 'closed' ? 'closed' : `in the state "${this.#state}"`;
    return new LazyShadowError(
      'ERR_INVALID_USE',
      `${this.name}: the reader is ${state}; ${expected}. Open the recording again.`,
      { verb: 'readTrace' },
    );
  }
}

/** Reads and checks the first 64 bytes. */
async function readHeader(source: ByteSource, name: string): Promise<TraceHeader> {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const length = await source.read(bytes);
  if (length === 0)
    throw badTrace(name, '', `the recording is empty, expected a header of ${HEADER_BYTES} bytes`);
  const magic = bytes.toString('latin1', HEADER.magic, Math.min(length, MAGIC.length));
  if (magic === UNFINISHED_MAGIC)
    throw new LazyShadowError(
      'ERR_BAD_TRACE',
      `${name}: the recording is not finished: its program was stopped, or still runs. When it has ended, run: lazyshadow record --finish ${name}`,
      { verb: 'readTrace' },
    );
  if (magic !== MAGIC)
    throw badTrace(
      name,
      `byte ${HEADER.magic}`,
      `the magic is ${JSON.stringify(magic)}, expected "${MAGIC}"`,
    );
  if (length < HEADER_BYTES)
    throw badTrace(name, `byte ${length}`, `the recording ends, expected a header of ${HEADER_BYTES} bytes`);
  const field = (offset: number) => bytes.readUInt32LE(offset + 4) * 2 ** 32 + bytes.readUInt32LE(offset);
  const version = field(HEADER.version);
  if (version !== VERSION)
    throw badTrace(name, `byte ${HEADER.version}`, `the version is ${version}, expected ${VERSION}`);
  const eventCount = field(HEADER.eventCount);
  const symbolOffset = field(HEADER.symbolOffset);
  const pcCount = field(HEADER.pcCount);
  if (symbolOffset !== eventOffset(eventCount) || !Number.isSafeInteger(symbolOffset))
    throw badTrace(
      name,
      `byte ${HEADER.symbolOffset}`,
      `the symbol text begins at ${symbolOffset}, expected ${eventOffset(eventCount)} after ${eventCount} events`,
    );
  if (!Number.isSafeInteger(pcCount))
    throw badTrace(
      name,
      `byte ${HEADER.pcCount}`,
      `${pcCount} lines of symbol text, expected fewer than 2^53`,
    );
  if (source.sizeBytes !== undefined && source.sizeBytes < symbolOffset)
    throw badTrace(
      name,
      `byte ${source.sizeBytes}`,
      `the recording ends, expected ${eventCount} events up to byte ${symbolOffset}`,
    );
  return { version, eventCount, symbolOffset, pcCount };
}
