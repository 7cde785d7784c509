import { createReadStream, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { EVENT_BYTES, HEADER_BYTES, Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { collectGarbage } from '../support/garbage.js';
import { program, programStream, shippedRecording } from '../support/recordings.js';
import { begun, readAll } from '../support/traces.js';

const packed = readFileSync(shippedRecording);
const plain = gunzipSync(packed);
// Not by the reader: what it gives is compared with the bytes themselves.
const eventBytes = plain.subarray(64, 64 + 32 * 38308);

/** A batch is 2 MiB. */
const BATCHES_BETWEEN_COLLECTIONS = 8;
const MOST_KEPT_BYTES = 24 * 2 ** 20;

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-reader-'));
const plainFile = join(directory, 'heapgrow.trc');
writeFileSync(plainFile, plain);
// Not rmSync: Windows removes no directory with a file in it that is still being closed.
afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }));
afterEach(() => {
  vi.restoreAllMocks();
});

/** The bytes as a stream of chunks of these sizes, over and over. */
function chunked(bytes: Uint8Array, sizes: readonly number[]): Readable {
  function* chunks() {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      yield bytes.subarray(at, at + size);
      at += size;
    }
  }
  return Readable.from(chunks(), { objectMode: false });
}

/** Bytes of buffers that a collection leaves: V8 gives back what it found in its own time, so the least of several looks. */
async function keptBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 100 && least > MOST_KEPT_BYTES; look++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, look));
    least = Math.min(least, process.memoryUsage().arrayBuffers);
  }
  return least;
}

describe('the same recording', () => {
  const sources: [string, () => string | Uint8Array | Readable][] = [
    ['a plain file', () => plainFile],
    ['a gzip file', () => shippedRecording],
    ['bytes', () => new Uint8Array(plain)],
    ['bytes at an odd address', () => new Uint8Array(Buffer.concat([Buffer.alloc(1), plain])).subarray(1)],
    ['gzip bytes', () => packed],
    ['a file stream', () => createReadStream(plainFile)],
    ['a gzip file stream', () => createReadStream(shippedRecording)],
    ['chunks of odd sizes', () => chunked(plain, [1, 63, 0, 7, 4097, 31])],
    ['gzip in chunks of odd sizes', () => chunked(packed, [1, 3, 1000])],
    [
      'gzip in two members',
      () => Buffer.concat([gzipSync(plain.subarray(0, 999)), gzipSync(plain.subarray(999))]),
    ],
  ];
  it.each(sources)('reads alike from %s', async (_, source) => {
    const { words, symbols } = await readAll(source());
    expect(Buffer.compare(Buffer.from(words.buffer), eventBytes)).toBe(0);
    expect(symbols.pcCount).toBe(975);
    expect(symbols.frames(0x4a613b).map((frame) => frame.function)).toEqual(['errors.New', 'strconv.init']);
  });

  it.each([plainFile, shippedRecording])('reads alike from standard input: %s', async (file) => {
    const stdin = createReadStream(file) as unknown as typeof process.stdin;
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(stdin);
    const { words } = await readAll('-');
    expect(Buffer.compare(Buffer.from(words.buffer), eventBytes)).toBe(0);
    expect(stdin.destroyed).toBe(true);
  });

  it('reads alike however a stream is cut, in batches of 65 536 events', async () => {
    const writer = begun();
    for (let i = 1; i < 70_000; i++) writer.event(Op.Read, { goroutine: 1, addr: i, size: 1, pc: i });
    const bytes = writer.finish(['1\tmain.f\tmain.go\t1\t2']);
    const whole = await readAll(bytes);
    expect(whole.batches).toBe(2);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 3_000_000 }), { minLength: 1 }), async (sizes) => {
        const cut = await readAll(chunked(bytes, [...sizes, 100_000]));
        expect(Buffer.compare(Buffer.from(cut.words.buffer), Buffer.from(whole.words.buffer))).toBe(0);
        expect(cut.symbols.frames(1)).toEqual(whole.symbols.frames(1));
      }),
      { numRuns: 20 },
    );
  });
});

describe('TraceReader', () => {
  it('says what the header says, and its name', async () => {
    const reader = await TraceReader.open(shippedRecording);
    expect(reader.name).toBe(shippedRecording);
    expect(reader.header).toEqual({
      version: 1,
      eventCount: 38308,
      symbolOffset: 64 + 32 * 38308,
      pcCount: 975,
    });
    await reader.close();
    expect((await TraceReader.open(plain)).name).toBe('recording in memory');
    expect((await TraceReader.open(chunked(plain, [64]))).name).toBe('stream');
    const streamed = await TraceReader.open(createReadStream(plainFile));
    expect(streamed.name).toBe(plainFile);
    await streamed.close();
  });

  it('gives batches over the bytes themselves when they are aligned, so nothing is copied', async () => {
    const bytes = begun().finish();
    const reader = await TraceReader.open(bytes);
    for await (const { words } of reader.batches()) expect(words.buffer).toBe(bytes.buffer);
  });

  it('gives the symbols of a file or of bytes before, between and after the batches', async () => {
    for (const source of [plainFile, plain]) {
      const reader = await TraceReader.open(source);
      const before = await reader.symbols();
      let events = 0;
      for await (const { count } of reader.batches()) events += count;
      expect(events).toBe(38308);
      expect(await reader.symbols()).toBe(before);
      expect(before.frames(0x4a613b)).toHaveLength(2);
      await reader.close();
    }
  });

  it('gives the symbols of a stream after its events only, and says so', async () => {
    const reader = await TraceReader.open(shippedRecording);
    await expect(reader.symbols()).rejects.toMatchObject({
      code: 'ERR_INVALID_USE',
      message: expect.stringContaining('symbols are read after the events'),
    });
    for await (const _ of reader.batches());
    expect((await reader.symbols()).pcCount).toBe(975);
    await reader.close();
  });

  it('gives the batches once, and nothing after close', async () => {
    const reader = await TraceReader.open(plain);
    for await (const _ of reader.batches()) break;
    await expect(reader.batches().next()).rejects.toMatchObject({ code: 'ERR_INVALID_USE' });
    await reader.close();
    await reader.close();
    await expect(reader.symbols()).rejects.toMatchObject({ code: 'ERR_INVALID_USE' });

    const writer = begun();
    for (let i = 0; i < 70_000; i++) writer.event(Op.Acquire, { goroutine: 1 });
    const closed = await TraceReader.open(writer.finish());
    const batches = closed.batches();
    await batches.next();
    await closed.close();
    await expect(batches.next()).rejects.toMatchObject({ code: 'ERR_INVALID_USE' });
  });

  it('destroys the stream that it was given, packed or not, read to the end or not', async () => {
    for (const bytes of [plain, packed]) {
      const stream = chunked(bytes, [100]);
      const reader = await TraceReader.open(stream);
      await reader.close();
      expect(stream.destroyed).toBe(true);
    }
  });

  it.each([undefined, null, 5, {}, [], new ArrayBuffer(64)])('refuses to open %j', async (source) => {
    await expect(TraceReader.open(source as unknown as string)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      message: expect.stringContaining("expected a path, '-', bytes or a stream"),
    });
  });

  it('can be left in the middle of a stream that has no more yet', async () => {
    const writer = begun();
    for (let event = 0; event < 65_536 + 8; event++) writer.event(Op.FuncEnter, { goroutine: 1, pc: 1 });
    const stream = new PassThrough();
    stream.write(writer.finish().subarray(0, HEADER_BYTES + 65_536 * EVENT_BYTES));
    const reader = await TraceReader.open(stream);
    for await (const { count } of reader.batches()) {
      expect(count).toBe(65_536);
      break;
    }
    await reader.close();
    expect(stream.destroyed).toBe(true);
  });

  it('refuses a stream of text', async () => {
    const stream = createReadStream(plainFile, { encoding: 'latin1' });
    await expect(TraceReader.open(stream)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    stream.destroy();
  });

  it('streams a recording of 166 MB without keeping it', async () => {
    const row = program('churn');
    const reader = await TraceReader.open(programStream(row));
    let events = 0;
    let batches = 0;
    let mostBytes = 0;
    for await (const { count } of reader.batches()) {
      events += count;
      if (++batches % BATCHES_BETWEEN_COLLECTIONS !== 0) continue;
      // Chunks that were read wait for the collector as long as it likes; what it leaves is kept.
      mostBytes = Math.max(mostBytes, await keptBytes());
    }
    await reader.close();
    expect(events).toBe(row.events);
    expect(mostBytes).toBeLessThanOrEqual(MOST_KEPT_BYTES);
  });
});
