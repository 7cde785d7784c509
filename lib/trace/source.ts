/**
 * Where the bytes of a recording come from: a file, standard input, a stream, or memory; packed with gzip or not.
 *
 * All of them are one {@link ByteSource} to the reader, which asks for bytes and gets them in memory of its own.
 * Gzip is told by its first two bytes, never by a name. Only what is at hand as a whole (a plain file, plain memory)
 * knows its size and can be read at any place.
 *
 * Invariant: a source keeps one chunk of a stream at most, so memory does not grow with the recording.
 */
import { read } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { LazyShadowError } from '../native/errors.js';
import { badTrace, unreadable } from './errors.js';

/** Bytes in order, and at any place if `sizeBytes` is known. */
export interface ByteSource {
  /** The recording's size, unpacked; undefined for a stream. */
  readonly sizeBytes: number | undefined;
  /** What another thread can read the same bytes by, until this is closed: the descriptor of a plain file, else undefined. */
  readonly descriptor: number | undefined;
  /** Goes on from `position`. Only where `sizeBytes` is known. */
  moveTo(position: number): void;
  /** Copies the next bytes to `target`: all of it, less only at the end of the source. Returns how many. */
  read(target: Uint8Array): Promise<number>;
  /** As {@link read}, but from `position` and without moving on. Only where `sizeBytes` is known. */
  readAt(target: Uint8Array, position: number): Promise<number>;
  /** The next `byteLength` bytes themselves, if they are in memory as a whole; else undefined, and nothing moved. */
  view(byteLength: number): Uint8Array | undefined;
  /** Opens the same bytes from the beginning, to be used while this is open; undefined for what goes by once. */
  readonly again: (() => Promise<ByteSource>) | undefined;
  close(): Promise<void>;
}

/** What a recording may be opened from. A string is a path, or `-` for standard input. */
export type TraceInput = string | Uint8Array | Readable;

/** Large enough that a chunk's fixed costs vanish, small enough to stay in a core's cache. */
const CHUNK_BYTES = 256 * 1024;
const GZIP_MAGIC = [0x1f, 0x8b];

/** The name that messages call an input by. */
export function inputName(input: TraceInput): string {
  if (input === '-') return 'standard input';
  if (typeof input === 'string') return input;
  if (input instanceof Uint8Array) return 'recording in memory';
  return 'path' in input && typeof input.path === 'string' ? input.path : 'stream';
}

/** @throws LazyShadowError ERR_BAD_TRACE: no such file, a directory, or not readable */
export async function openSource(input: TraceInput, name: string): Promise<ByteSource> {
  if (input === '-') return openStream(process.stdin, name);
  if (typeof input === 'string') return openFile(input, name);
  if (!(input instanceof Uint8Array)) return openStream(input, name);
  return isGzip(input) ? openRepeatable(() => Readable.from([input]), name) : new MemorySource(input);
}

/**
 * The bytes of a plain file that somebody else has open, another thread perhaps, and closes.
 * @param sizeBytes of the file
 */
export function borrowedSource(descriptor: number, sizeBytes: number, name: string): ByteSource {
  const readAt = promisify(read);
  const file: PlainFile = {
    fd: descriptor,
    read: (target, offset, length, position) => readAt(descriptor, target, offset, length, position),
    close: () => Promise.resolve(),
  };
  return new FileSource(file, name, sizeBytes);
}

function isGzip(start: Uint8Array): boolean {
  return GZIP_MAGIC.every((byte, index) => start[index] === byte);
}

async function openFile(path: string, name: string): Promise<ByteSource> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const stat = await handle.stat();
    if (stat.isDirectory()) throw new Error('this is a directory, expected a recording');
    if (!stat.isFile())
      return await openStream(handle.createReadStream({ highWaterMark: CHUNK_BYTES }), name);
    const file = new FileSource(handle, name, stat.size);
    const start = new Uint8Array(GZIP_MAGIC.length);
    await file.readAt(start, 0);
    if (!isGzip(start)) return file;
    const packed = handle;
    const streamed = { start: 0, highWaterMark: CHUNK_BYTES, autoClose: false };
    return await openRepeatable(
      () => packed.createReadStream(streamed),
      name,
      () => packed.close(),
    );
  } catch (error) {
    await handle?.close().catch(() => undefined);
    throw error instanceof LazyShadowError ? error : unreadable(name, error);
  }
}

/** Looks at the first bytes of a stream, and unpacks it if they say gzip. */
async function openStream(stream: Readable, name: string, owner: StreamOwner = {}): Promise<ByteSource> {
  const packed = new StreamSource(stream, name, owner);
  if (!isGzip(await packed.peek(GZIP_MAGIC.length))) return packed;
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // A failure of either end reaches whoever reads the last of them; there is nobody else to tell.
  pipeline(Readable.from(packed.chunks()), gunzip, () => undefined);
  return new StreamSource(gunzip, name, { again: owner.again, close: () => packed.close() });
}

/** As openStream, of what `open` gives, which can be asked for another one until all is closed. */
function openRepeatable(
  open: () => Readable,
  name: string,
  close?: () => Promise<void>,
): Promise<ByteSource> {
  return openStream(open(), name, { again: () => openStream(open(), name), close });
}

class MemorySource implements ByteSource {
  readonly descriptor = undefined;
  readonly again: () => Promise<ByteSource>;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.again = async () => new MemorySource(bytes);
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  moveTo(position: number): void {
    this.#position = position;
  }

  async read(target: Uint8Array): Promise<number> {
    const count = await this.readAt(target, this.#position);
    this.#position += count;
    return count;
  }

  async readAt(target: Uint8Array, position: number): Promise<number> {
    const part = this.#bytes.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  view(byteLength: number): Uint8Array | undefined {
    const part = this.#bytes.subarray(this.#position, this.#position + byteLength);
    if (part.length < byteLength) return undefined;
    this.#position += byteLength;
    return part;
  }

  async close(): Promise<void> {}
}

/** What a plain file is read by: a FileHandle, or what stands for one that another thread has. */
interface PlainFile {
  readonly fd: number;
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

class FileSource implements ByteSource {
  readonly sizeBytes: number;
  readonly descriptor: number;
  readonly again: () => Promise<ByteSource>;
  readonly #file: PlainFile;
  readonly #name: string;
  #position = 0;

  constructor(file: PlainFile, name: string, sizeBytes: number) {
    this.#file = file;
    this.#name = name;
    this.descriptor = file.fd;
    this.sizeBytes = sizeBytes;
    this.again = async () => borrowedSource(file.fd, sizeBytes, name);
  }

  moveTo(position: number): void {
    this.#position = position;
  }

  async read(target: Uint8Array): Promise<number> {
    const count = await this.readAt(target, this.#position);
    this.#position += count;
    return count;
  }

  async readAt(target: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    try {
      while (filled < target.length) {
        const { bytesRead } = await this.#file.read(
          target,
          filled,
          target.length - filled,
          position + filled,
        );
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
    } catch (error) {
      throw unreadable(this.#name, error);
    }
    return filled;
  }

  view(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Where the bytes of a stream come from: how to have them again, and what is to be closed after it. */
interface StreamOwner {
  readonly again?: ByteSource['again'];
  readonly close?: (() => Promise<void>) | undefined;
}

class StreamSource implements ByteSource {
  readonly sizeBytes = undefined;
  readonly descriptor = undefined;
  readonly again: ByteSource['again'];
  readonly #stream: Readable;
  readonly #name: string;
  readonly #closeOwner: (() => Promise<void>) | undefined;
  readonly #chunks: AsyncIterator<unknown>;
  /** What came from the stream and was not handed on yet. */
  #rest: Uint8Array = new Uint8Array(0);
  #total = 0;

  constructor(stream: Readable, name: string, { again, close }: StreamOwner) {
    this.#stream = stream;
    this.#name = name;
    this.again = again;
    this.#closeOwner = close;
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async read(target: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < target.length && (this.#rest.length > 0 || (await this.#more()))) {
      const part = this.#rest.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return filled;
  }

  moveTo(): void {
    throw this.#noPositions();
  }

  readAt(): Promise<number> {
    return Promise.reject(this.#noPositions());
  }

  view(): undefined {
    return undefined;
  }

  // Does not wait for the streams to say that they are closed: one that waits for its writer may never do so.
  async close(): Promise<void> {
    this.#stream.destroy();
    await this.#closeOwner?.();
  }

  /** The next bytes without moving on; fewer than asked for only at the end. */
  async peek(byteLength: number): Promise<Uint8Array> {
    let start = this.#rest;
    while (start.length < byteLength && (await this.#more())) start = Buffer.concat([start, this.#rest]);
    this.#rest = start;
    return start.subarray(0, byteLength);
  }

  /** Everything that is left, as it comes. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    while (this.#rest.length > 0 || (await this.#more())) {
      const chunk = this.#rest;
      this.#rest = new Uint8Array(0);
      yield chunk;
    }
  }

  /** Waits for a chunk and makes it the rest. False at the end. */
  async #more(): Promise<boolean> {
    let next: IteratorResult<unknown>;
    do {
      next = await this.#chunks.next().catch((error: unknown) => Promise.reject(this.#failure(error)));
      if (next.done === true) return false;
      if (!(next.value instanceof Uint8Array))
        throw new LazyShadowError(
          'ERR_INVALID_ARGUMENT',
          `${this.#name}: the stream gives ${typeof next.value}s, expected bytes. Give one without an encoding.`,
        );
    } while (next.value.length === 0);
    this.#rest = next.value;
    this.#total += next.value.length;
    return true;
  }

  #noPositions(): LazyShadowError {
    return new LazyShadowError('ERR_CORRUPT', `${this.#name}: a stream has no positions.`);
  }

  #failure(error: unknown): LazyShadowError {
    if (error instanceof LazyShadowError) return error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!code.startsWith('Z_')) return unreadable(this.#name, error);
    const problem =
      code === 'Z_BUF_ERROR'
        ? 'the gzip data ends in the middle, expected its end mark'
        : `the gzip data is wrong (${(error as Error).message}), expected what gzip wrote`;
    return badTrace(this.#name, `byte ${this.#total} (unpacked)`, problem, { cause: error });
  }
}
