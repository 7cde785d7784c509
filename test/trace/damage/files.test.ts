/**
 * Recordings that cannot be read to their end: files that are missing, empty, cut or shrinking, gzip that is damaged,
 * and streams that fail.
 */
import { mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { Op } from '../../../lib/trace/format.js';
import { TraceReader } from '../../../lib/trace/reader.js';
import { ADVICE, whole } from '../../support/damage.js';
import { shippedRecording } from '../../support/recordings.js';
import { begun, errorOf } from '../../support/traces.js';

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-damage-'));
// Not rmSync: Windows removes no directory with a file in it that is still being closed.
afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }));

describe('a damaged file', () => {
  const file = (name: string, bytes: Uint8Array) => {
    const path = join(directory, name);
    writeFileSync(path, bytes);
    return path;
  };

  it('names the file, and carries the error of the operating system', async () => {
    const missing = join(directory, 'missing.trc');
    const error = await errorOf(missing);
    expect(error).toMatchObject({ code: 'ERR_BAD_TRACE', verb: 'readTrace', cause: { code: 'ENOENT' } });
    if (process.platform !== 'win32') expect(error.osCode).toBe(2);
    expect(error.message).toBe(
      `${missing}: cannot be read: ENOENT: no such file or directory, open '${missing}'. Check the path.`,
    );
    expect((await errorOf(directory)).message).toBe(
      `${directory}: cannot be read: this is a directory, expected a recording. Check the path.`,
    );
    expect((await errorOf('\0')).code).toBe('ERR_BAD_TRACE');
    expect((await errorOf('')).code).toBe('ERR_BAD_TRACE');
  });

  it.each(['plain.trc', 'packed.trc.gz'])('that is empty: %s', async (name) => {
    const path = file(name, new Uint8Array(0));
    expect((await errorOf(path)).message).toBe(
      `${path}: the recording is empty, expected a header of 64 bytes. ${ADVICE}`,
    );
  });

  it('that is cut at any byte', async () => {
    const bytes = whole();
    for (let length = 0; length < bytes.length; length++) {
      const error = await errorOf(file('cut.trc', bytes.subarray(0, length)));
      expect(error.message).toContain('cut.trc: ');
      // A stream does not know its length before.
      expect((await errorOf(Readable.from([bytes.subarray(0, length)]))).code).toBe('ERR_BAD_TRACE');
    }
  });

  it('that shrinks while it is read', async () => {
    const writer = begun();
    for (let i = 0; i < 200_000; i++) writer.event(Op.Finalize);
    const path = file('shrinks.trc', writer.finish());
    const reader = await TraceReader.open(path);
    const batches = reader.batches();
    await batches.next();
    // The batch after this one is on its way already.
    await setTimeout(100);
    truncateSync(path, 64 + 32 * 140_000 + 5);
    await batches.next();
    await expect(batches.next()).rejects.toThrow(
      'event 140000: the recording ends at byte 4480069, expected 200001 events up to byte 6400096',
    );
    await reader.close();
  });

  it('behind the batch in use, which nobody comes to read', async () => {
    const writer = begun();
    for (let i = 0; i < 100_000; i++) writer.event(Op.Finalize);
    const cut = gzipSync(writer.finish(), { level: 0 }).subarray(0, 2_500_000);
    for (const stop of ['break', 'close']) {
      const reader = await TraceReader.open(Readable.from([cut]));
      for await (const { count } of reader.batches()) {
        expect(count).toBe(65_536);
        if (stop === 'break') break;
        await setTimeout(50);
        await reader.close();
        break;
      }
      await reader.close();
    }
    // An error that nobody caught would end the test.
    await setTimeout(50);
  });

  it('in gzip that is cut, or wrong, or holds something else', async () => {
    const packed = readFileSync(shippedRecording);
    for (const length of [2, 9, 10, 100, 50_000, packed.length - 1]) {
      const path = file('cut.trc.gz', packed.subarray(0, length));
      const { code, message } = await errorOf(path);
      expect(code).toBe('ERR_BAD_TRACE');
      expect(message).toMatch(
        /cut\.trc\.gz: byte \d+ \(unpacked\): the gzip data ends in the middle, expected its end mark/,
      );
    }
    const wrong = Buffer.from(packed);
    wrong.fill(0xff, 60_000, 60_100);
    expect((await errorOf(file('wrong.trc.gz', wrong))).message).toMatch(
      /wrong\.trc\.gz: byte \d+ \(unpacked\): the gzip data is wrong/,
    );
    expect((await errorOf(gzipSync('hello'))).message).toContain('the magic is "hello", expected "RACETRC1"');
    expect((await errorOf(gzipSync(gzipSync(whole())))).message).toContain('the magic is');
  });

  it('is a stream that fails', async () => {
    const failing = new Readable({
      read() {
        this.destroy(new Error('the line went dead'));
      },
    });
    const error = await errorOf(failing);
    expect(error.message).toBe('stream: cannot be read: the line went dead. Check the path.');
    const half = Readable.from(
      (async function* () {
        yield gzipSync(whole()).subarray(0, 20);
        throw new Error('the line went dead');
      })(),
    );
    expect((await errorOf(half)).message).toContain('the line went dead');
  });
});
