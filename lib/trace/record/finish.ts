/**
 * Finishes the recording of a program that was stopped before the recorder could: by a signal, a panic, or os.Exit with
 * a code, after which Go's runtime asks nothing more of its race detector.
 *
 * Everything is on disk: the events up to the last window in the recording, that window and the symbol text in FILE.part
 * (native/recorder/part.h draws it). What is left to do is to put them together, the header last; one that is cut short
 * can be done again.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { LazyShadowError } from '../../native/errors.js';
import {
  EVENT_BYTES,
  eventOffset,
  HEADER,
  HEADER_BYTES,
  MAGIC,
  UNFINISHED_MAGIC,
  VERSION,
} from '../format.js';

/** What part.h has in these places. The part begins with the magic of an unfinished recording. */
const PART = {
  begin: 8,
  window: 4096,
  windowEvents: 8192,
  text: 4096 + 8192 * EVENT_BYTES,
  /** Bit of `begin`: the window's events are in the recording already. */
  clearing: 1,
} as const;

const COPY_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** The file beside an unfinished recording. */
export function partOf(path: string): string {
  return `${path}.part`;
}

/**
 * Makes a recording whole; one that is finished stays as it is. Its program must have ended.
 * @returns how many events it has
 * @throws LazyShadowError ERR_BAD_TRACE: it is no recording, or its .part is missing or not one
 */
export async function finishRecording(path: string): Promise<number> {
  const recording = await openFile(path, path);
  try {
    const header = await readBytes(recording, 0, HEADER_BYTES);
    const magic = header.toString('latin1', 0, MAGIC.length);
    if (header.length === HEADER_BYTES && magic === MAGIC) {
      await rm(partOf(path), { force: true });
      return Number(header.readBigUInt64LE(HEADER.eventCount));
    }
    if (header.length < HEADER_BYTES || magic !== UNFINISHED_MAGIC)
      throw unfinishable(path, `it begins with ${JSON.stringify(magic)}, expected a recording`);
    const part = await openFile(partOf(path), path);
    try {
      return await putTogether(recording, part, path);
    } catch (cause) {
      throw cause instanceof LazyShadowError ? cause : unfinishable(path, messageOf(cause), cause);
    } finally {
      await part.close();
    }
  } finally {
    await recording.close();
  }
}

async function putTogether(recording: FileHandle, part: FileHandle, path: string): Promise<number> {
  const head = await readBytes(part, 0, PART.text);
  if (head.length < PART.text || head.toString('latin1', 0, UNFINISHED_MAGIC.length) !== UNFINISHED_MAGIC)
    throw unfinishable(path, `${partOf(path)} is not what the recorder writes`);
  const { size } = await recording.stat();
  const mark = Number(head.readBigUInt64LE(PART.begin));
  const begin = mark - (mark & PART.clearing);
  const flushed = Math.floor((Math.min(begin, size) - HEADER_BYTES) / EVENT_BYTES);
  // On a full disk the recorder may have cut the recording below `begin`, to make room for the symbols.
  const window =
    begin === mark && size >= begin ? usedEvents(head.subarray(PART.window)) : head.subarray(0, 0);
  const eventCount = flushed + window.length / EVENT_BYTES;
  await writeBytes(recording, window, begin);
  const symbolOffset = eventOffset(eventCount);
  await recording.truncate(symbolOffset);
  const pcCount = await copyLines(part, recording, symbolOffset);

  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, HEADER.magic, 'latin1');
  header.writeBigUInt64LE(BigInt(VERSION), HEADER.version);
  header.writeBigUInt64LE(BigInt(eventCount), HEADER.eventCount);
  header.writeBigUInt64LE(BigInt(symbolOffset), HEADER.symbolOffset);
  header.writeBigUInt64LE(BigInt(pcCount), HEADER.pcCount);
  await writeBytes(recording, header, 0);
  await rm(partOf(path));
  return eventCount;
}

/** The window up to the first event that has no op. */
function usedEvents(window: Buffer): Buffer {
  let end = 0;
  while (end < window.length && window[end] !== 0) end += EVENT_BYTES;
  return window.subarray(0, end);
}

/** Copies the symbol text's whole lines. Returns how many. */
async function copyLines(part: FileHandle, recording: FileHandle, symbolOffset: number): Promise<number> {
  let lines = 0;
  let position = 0;
  let complete = 0;
  for (;;) {
    const chunk = await readBytes(part, PART.text + position, COPY_BYTES);
    if (chunk.length === 0) break;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) {
      lines++;
      complete = position + at + 1;
    }
    await writeBytes(recording, chunk, symbolOffset + position);
    position += chunk.length;
  }
  await recording.truncate(symbolOffset + complete);
  return lines;
}

/**
 * Packs a finished recording with gzip, and removes it.
 * @throws LazyShadowError ERR_OS: the disk is full, say; the recording is then where it was
 */
export async function packRecording(path: string, packed: string): Promise<void> {
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(packed));
  } catch (cause) {
    await rm(packed, { force: true });
    throw new LazyShadowError(
      'ERR_OS',
      `${packed} cannot be written: ${messageOf(cause)}. The recording is in ${path}; make room, then run: gzip ${path}`,
      { verb: 'packRecording', cause },
    );
  }
  await rm(path);
}

async function openFile(file: string, recording: string): Promise<FileHandle> {
  try {
    return await open(file, 'r+');
  } catch (cause) {
    throw unfinishable(recording, messageOf(cause), cause);
  }
}

/** As many bytes as there are, up to `length`. */
async function readBytes(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function writeBytes(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length)
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function unfinishable(path: string, problem: string, cause?: unknown): LazyShadowError {
  return new LazyShadowError(
    'ERR_BAD_TRACE',
    `${path} cannot be finished: ${problem}. Give a recording, with the .part that is beside it.`,
    { verb: 'finishRecording', cause },
  );
}
