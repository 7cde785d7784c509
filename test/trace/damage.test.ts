import { mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { LazyShadowError } from '../../lib/native/errors.js';
import { Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import type { EventFields, TraceWriter } from '../../lib/trace/writer.js';
import { program, programBytes, shippedRecording } from '../support/recordings.js';
import { begun, errorOf, readAll } from '../support/traces.js';

const ADVICE = 'The recording is damaged or cut short: copy it again, or record it again.';
const LINE = '4a613b\terrors.New\terrors.go\t59\t58\tstrconv.init\tatoi.go\t18\t105';

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-damage-'));
// Not rmSync: Windows removes no directory with a file in it that is still being closed.
afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }));

/** A small recording that is whole: three events and two lines of symbols. */
function whole(): Buffer {
  return Buffer.from(
    begun()
      .event(Op.Read, { goroutine: 1, addr: 0xc000000000, pc: 0x4a613b, size: 1 })
      .event(Op.Finalize)
      .finish([LINE, '47f\t??\t-\t0\t0']),
  );
}

/** {@link whole} with one change. */
function changed(change: (bytes: Buffer) => unknown): Buffer {
  const bytes = whole();
  change(bytes);
  return bytes;
}

/** The message of the error, without the name before it and the advice after it. */
async function problemOf(source: Uint8Array): Promise<string> {
  const error = await errorOf(source);
  expect(error.code).toBe('ERR_BAD_TRACE');
  expect(error.message).toMatch(/^recording in memory: /);
  expect(error.message.endsWith(`. ${ADVICE}`)).toBe(true);
  return error.message.slice('recording in memory: '.length, -`. ${ADVICE}`.length);
}

it('the recording that the damage is done to is whole', async () => {
  const { symbols } = await readAll(whole());
  expect(symbols.pcCount).toBe(2);
});

describe('a damaged header', () => {
  it.each<[string, Uint8Array, string]>([
    ['nothing at all', new Uint8Array(0), 'the recording is empty, expected a header of 64 bytes'],
    [
      'an end in the header',
      whole().subarray(0, 63),
      'byte 63: the recording ends, expected a header of 64 bytes',
    ],
    ['an end in the magic', whole().subarray(0, 3), 'byte 0: the magic is "RAC", expected "RACETRC1"'],
    [
      'another magic',
      changed((b) => b.write('RACETRC2')),
      'byte 0: the magic is "RACETRC2", expected "RACETRC1"',
    ],
    ['another version', changed((b) => b.writeUInt32LE(2, 8)), 'byte 8: the version is 2, expected 1'],
    [
      'a version in the high word',
      changed((b) => b.writeUInt32LE(1, 12)),
      'byte 8: the version is 4294967297, expected 1',
    ],
    [
      'more events',
      changed((b) => b.writeUInt32LE(4, 16)),
      'byte 24: the symbol text begins at 160, expected 192 after 4 events',
    ],
    [
      'fewer events',
      changed((b) => b.writeUInt32LE(2, 16)),
      'byte 24: the symbol text begins at 160, expected 128 after 2 events',
    ],
    [
      '2^63 events',
      changed((b) => b.writeUInt32LE(2 ** 31, 20)),
      expect.stringMatching(/^byte 24: the symbol text begins at 160, expected \d+/),
    ],
    [
      'symbols inside the events',
      changed((b) => b.writeUInt32LE(128, 24)),
      'byte 24: the symbol text begins at 128, expected 160 after 3 events',
    ],
    [
      'symbols past the end',
      changed((b) => b.writeUInt32LE(2 ** 31, 24)),
      'byte 24: the symbol text begins at 2147483648, expected 160 after 3 events',
    ],
    [
      '2^63 lines',
      changed((b) => b.writeUInt32LE(2 ** 31, 36)),
      expect.stringMatching(/^byte 32: \d+ lines of symbol text, expected fewer than 2\^53$/),
    ],
    [
      'an end in the events',
      whole().subarray(0, 159),
      'byte 159: the recording ends, expected 3 events up to byte 160',
    ],
    [
      'events and symbols that both lie',
      changed((b) => {
        b.writeUInt32LE(1_000_003, 16);
        b.writeUInt32LE(64 + 32 * 1_000_003, 24);
      }),
      expect.stringMatching(/^byte \d+: the recording ends, expected 1000003 events up to byte 32000160$/),
    ],
  ])('%s', async (_, bytes, problem) => {
    expect(await problemOf(bytes)).toEqual(problem);
  });
});

describe('a damaged event', () => {
  const READ: EventFields = { goroutine: 1, addr: 0xc000000000, size: 1 };
  const wide = 2 ** 48;
  const end = 2 ** 48 - 8;
  it.each<[string, number, EventFields, string]>([
    ['op 0', 0, { goroutine: 1 }, 'the op is 0, expected 1 to 27'],
    ['op 28', 28, { goroutine: 1 }, 'the op is 28, expected 1 to 27'],
    ['op 255', 255, { goroutine: 1 }, 'the op is 255, expected 1 to 27'],
    ['a read of no size', Op.Read, { ...READ, size: 0 }, 'Read with an access size of 0 bytes, expected 1'],
    ['a write of 8', Op.WritePC, { ...READ, size: 8 }, 'WritePC with an access size of 8 bytes, expected 1'],
    [
      'an atomic of 2',
      Op.AtomicStore,
      { ...READ, size: 2 },
      'AtomicStore with an access size of 2 bytes, expected 4 or 8',
    ],
    [
      'a size of 32, as a shift the same as 0',
      Op.Acquire,
      { ...READ, size: 32 },
      'Acquire with an access size of 32 bytes, expected 0',
    ],
    [
      'a size of 36, as a shift the same as 4',
      Op.AtomicLoad,
      { ...READ, size: 36 },
      'AtomicLoad with an access size of 36 bytes, expected 4 or 8',
    ],
    [
      'a wide address',
      Op.Read,
      { ...READ, addr: wide },
      'Read with addr 0x1000000000000, arg 0x0 and pc 0x0, expected all three below 2^48',
    ],
    [
      'a wide arg',
      Op.ReadPC,
      { ...READ, arg: wide },
      'ReadPC with addr 0xc000000000, arg 0x1000000000000 and pc 0x0, expected all three below 2^48',
    ],
    [
      'a wide pc',
      Op.FuncEnter,
      { goroutine: 1, pc: 2 ** 53 - 1 },
      'FuncEnter with addr 0x0, arg 0x0 and pc 0x1fffffffffffff, expected all three below 2^48',
    ],
    [
      'an atomic of 8 that crosses',
      Op.AtomicLoad,
      { ...READ, addr: 0xc000000004, size: 8 },
      'AtomicLoad of 8 bytes at 0x00c000000004, expected one inside a granule of 8 bytes',
    ],
    [
      'an atomic of 4 that crosses',
      Op.AtomicFetchAdd,
      { ...READ, addr: 0xc000000005, size: 4 },
      'AtomicFetchAdd of 4 bytes at 0x00c000000005, expected one inside a granule of 8 bytes',
    ],
    [
      'MapShadow that wraps',
      Op.MapShadow,
      { addr: end, arg: 9 },
      'MapShadow of 9 bytes at 0xfffffffffff8, expected a range that ends at 2^48 or before',
    ],
    [
      'ReadRange that wraps',
      Op.ReadRange,
      { goroutine: 1, addr: end, arg: 9 },
      'ReadRange of 9 bytes at 0xfffffffffff8, expected a range that ends at 2^48 or before',
    ],
    [
      'WriteRange that wraps',
      Op.WriteRange,
      { goroutine: 1, addr: 2, arg: wide - 1 },
      'WriteRange of 281474976710655 bytes at 0x000000000002, expected a range that ends at 2^48 or before',
    ],
    [
      'Malloc that wraps',
      Op.Malloc,
      { addr: 2 ** 47, arg: 2 ** 47 + 1 },
      'Malloc of 140737488355329 bytes at 0x800000000000, expected a range that ends at 2^48 or before',
    ],
    [
      'Free that wraps',
      Op.Free,
      { addr: end, arg: 2 ** 20 },
      'Free of 1048576 bytes at 0xfffffffffff8, expected a range that ends at 2^48 or before',
    ],
    [
      'a call by nobody',
      Op.Read,
      { ...READ, goroutine: 0 },
      'Read by goroutine 0, expected the number of a goroutine that was started',
    ],
    [
      'FuncEnter by nobody',
      Op.FuncEnter,
      {},
      'FuncEnter by goroutine 0, expected the number of a goroutine that was started',
    ],
    [
      'a stranger',
      Op.Read,
      { ...READ, goroutine: 7 },
      'Read by goroutine 7, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a stranger enters',
      Op.FuncEnter,
      { goroutine: 7 },
      'FuncEnter by goroutine 7, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a stranger leaves',
      Op.FuncExit,
      { goroutine: 7 },
      'FuncExit by goroutine 7, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a stranger ends',
      Op.GoEnd,
      { goroutine: 7 },
      'GoEnd by goroutine 7, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a stranger allocates',
      Op.Malloc,
      { goroutine: 7, arg: 8 },
      'Malloc by goroutine 7, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a stranger beyond the table of goroutines',
      Op.Release,
      { goroutine: 5000 },
      'Release by goroutine 5000, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a stranger far off',
      Op.Release,
      { goroutine: 2 ** 32 - 1 },
      'Release by goroutine 4294967295, which was never started; expected its GoStart or Initialize before',
    ],
    [
      'a call after the end',
      Op.Read,
      { ...READ, goroutine: 2 },
      'Read by goroutine 2 after its GoEnd, expected no call of it there',
    ],
    [
      'FuncEnter after the end',
      Op.FuncEnter,
      { goroutine: 2 },
      'FuncEnter by goroutine 2 after its GoEnd, expected no call of it there',
    ],
    [
      'a second end',
      Op.GoEnd,
      { goroutine: 2 },
      'GoEnd by goroutine 2 after its GoEnd, expected no call of it there',
    ],
    [
      'a start by one that ended',
      Op.GoStart,
      { goroutine: 2, arg: 3 },
      'GoStart by goroutine 2 after its GoEnd, expected no call of it there',
    ],
    [
      'a start of one that runs',
      Op.GoStart,
      { goroutine: 1, arg: 1 },
      'GoStart of goroutine 1, which was started before; expected a new number',
    ],
    [
      'a start of one that ended',
      Op.GoStart,
      { goroutine: 1, arg: 2 },
      'GoStart of goroutine 2, which was started before; expected a new number',
    ],
    [
      'a start of nobody',
      Op.GoStart,
      { goroutine: 1, arg: 0 },
      'GoStart of goroutine 0, expected a number of 1 or more, in the order of starting (2 started so far)',
    ],
    [
      'a start far off',
      Op.GoStart,
      { goroutine: 1, arg: 2 ** 31 },
      'GoStart of goroutine 2147483648, expected a number of 1 or more, in the order of starting (2 started so far)',
    ],
    [
      'a start past 2^32',
      Op.GoStart,
      { goroutine: 1, arg: 2 ** 32 + 3 },
      'GoStart of goroutine 4294967299, expected a number of 1 or more, in the order of starting (2 started so far)',
    ],
    ['a second Initialize', Op.Initialize, { goroutine: 3 }, 'a second Initialize, expected one'],
    [
      'FuncExit out of nothing',
      Op.FuncExit,
      { goroutine: 1 },
      'FuncExit by goroutine 1, which is in no function; expected a FuncEnter before',
    ],
  ])('%s', async (_, op, fields, problem) => {
    // Goroutine 1 has entered and left a function; goroutine 2 has come and gone.
    const start = () =>
      begun()
        .event(Op.FuncEnter, { goroutine: 1 })
        .event(Op.FuncExit, { goroutine: 1 })
        .event(Op.GoStart, { goroutine: 1, arg: 2 })
        .event(Op.GoEnd, { goroutine: 2 });
    const finish = (writer: TraceWriter) => writer.event(Op.Finalize).finish();
    await expect(readAll(finish(start()))).resolves.toBeDefined();
    expect(await problemOf(finish(start().event(op, fields)))).toBe(`event 5: ${problem}`);
  });

  it('is counted through the batches, and those before it are given', async () => {
    const writer = begun();
    for (let i = 0; i < 70_000; i++) writer.event(Op.FuncEnter, { goroutine: 1 });
    const reader = await TraceReader.open(writer.event(Op.Read, { goroutine: 2, size: 1 }).finish());
    const batches = reader.batches();
    expect((await batches.next()).value).toMatchObject({ firstEvent: 0, count: 65536 });
    await expect(batches.next()).rejects.toThrow('event 70001: Read by goroutine 2, which was never started');
  });

  it('without an Initialize is the first call of the main goroutine', async () => {
    const error = await errorOf(begun().finish().fill(Op.Acquire, 64, 65));
    expect(error.message).toContain('event 0: Acquire by goroutine 1, which was never started');
  });
});

describe('what only looks damaged', () => {
  it.each<[string, number, EventFields]>([
    ['a range up to 2^48', Op.ReadRange, { goroutine: 1, addr: 2 ** 48 - 8, arg: 8 }],
    ['all the address space', Op.MapShadow, { addr: 0, arg: 2 ** 48 - 1 }],
    ['a read of the last byte', Op.Read, { goroutine: 1, addr: 2 ** 48 - 1, size: 1 }],
    [
      'addr and arg that would wrap in a range',
      Op.ReadPC,
      { goroutine: 1, addr: 2 ** 48 - 1, arg: 2 ** 48 - 1, size: 1 },
    ],
    ['a function entered high up', Op.FuncEnter, { goroutine: 1, pc: 2 ** 48 - 1 }],
    ['a range of nothing', Op.ReadRange, { goroutine: 1, addr: 8, arg: 0 }],
    ['an atomic of 4 in the upper half', Op.AtomicStore, { goroutine: 1, addr: 12, size: 4 }],
    ['a goroutine with no parent', Op.GoStart, { arg: 2 }],
    ['numbers with holes', Op.GoStart, { goroutine: 1, arg: 100_000 }],
    ['a block allocated by a goroutine', Op.Malloc, { goroutine: 1, addr: 8, arg: 8 }],
    ['a compare-and-swap that failed', Op.AtomicCompareAndSwap, { goroutine: 1, size: 8 }],
  ])('%s', async (_, op, fields) => {
    const { words } = await readAll(begun().event(op, fields).finish());
    expect((words[8] ?? 0) & 0xff).toBe(op);
  });

  it('calls high up count: a function entered there can be left once', async () => {
    const high = () => begun().event(Op.FuncEnter, { goroutine: 1, pc: 2 ** 48 - 1 });
    await readAll(high().event(Op.FuncExit, { goroutine: 1 }).finish());
    const twice = high().event(Op.FuncExit, { goroutine: 1 }).event(Op.FuncExit, { goroutine: 1 });
    expect(await problemOf(twice.finish())).toMatch(
      /^event 3: FuncExit by goroutine 1, which is in no function/,
    );
  });

  it('100 000 goroutines in a run, each with calls of its own', async () => {
    const writer = begun();
    for (let goroutine = 2; goroutine <= 100_000; goroutine++)
      writer
        .event(Op.GoStart, { goroutine: goroutine - 1, arg: goroutine })
        .event(Op.FuncEnter, { goroutine })
        .event(Op.FuncExit, { goroutine });
    const { words } = await readAll(writer.finish());
    expect(words.length).toBe(8 * (1 + 3 * 99_999));
  });
});

describe('damaged symbol text', () => {
  const symbols = (text: string, pcCount: number) => {
    const bytes = Buffer.concat([begun().finish(), Buffer.from(text)]);
    bytes.writeUInt32LE(pcCount, 32);
    return bytes;
  };
  const ENDS = `${LINE}\n`;
  it.each<[string, string, number, string]>([
    ['too few lines', ENDS, 2, 'the symbol text has 1 lines, expected 2 as the header says'],
    ['none of the lines', '', 2, 'the symbol text has 0 lines, expected 2 as the header says'],
    [
      'too many lines',
      `${ENDS}1\ta\tb\t1\t1\n`,
      1,
      'line 2 of the symbol text: one too many, expected 1 as the header says',
    ],
    [
      'lines where there are none',
      ENDS,
      0,
      'line 1 of the symbol text: one too many, expected 0 as the header says',
    ],
    ['more text', `${ENDS}x`, 1, 'line 2 of the symbol text: more text, expected 1 lines as the header says'],
    [
      'a line that is cut short',
      `${ENDS}1\ta\tb\t1\t1`,
      2,
      'line 2 of the symbol text: cut short, expected a line that ends with a newline',
    ],
    [
      'a line with no frame',
      '4a613b\n',
      1,
      'line 1 of the symbol text: 1 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'a field too few',
      '4a\tf\tg\t1\n',
      1,
      'line 1 of the symbol text: 4 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'a field too many',
      `${ENDS}4a\tf\tg\t1\t2\th\n`,
      2,
      'line 2 of the symbol text: 6 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'an empty line',
      `\n${ENDS}`,
      2,
      'line 1 of the symbol text: 1 fields, expected a pc and 4 fields for each frame',
    ],
    [
      'a pc that is none',
      '0x4a\tf\tg\t1\t2\n',
      1,
      'line 1 of the symbol text: no pc, expected hexadecimal digits below 2^48',
    ],
    [
      'a pc that is too wide',
      '1000000000000\tf\tg\t1\t2\n',
      1,
      'line 1 of the symbol text: no pc, expected hexadecimal digits below 2^48',
    ],
    [
      'a line number that is none',
      '4a\tf\tg\tone\t2\n',
      1,
      'line 1 of the symbol text: a line or an offset that is no number, expected decimal digits',
    ],
    [
      'an offset that is none',
      '4a\tf\tg\t1\t-2\n',
      1,
      'line 1 of the symbol text: a line or an offset that is no number, expected decimal digits',
    ],
    [
      'two lines for a pc',
      `${ENDS}4a613b\ta\tb\t1\t1\n`,
      2,
      'line 2 of the symbol text: a second line for pc 4a613b, expected one',
    ],
  ])('%s', async (_, text, pcCount, problem) => {
    expect(await problemOf(symbols(text, pcCount))).toBe(problem);
  });

  it('that never ends is refused, without a newline or with', async () => {
    const header = symbols('', 1_000_000);
    function* endless(piece: Buffer) {
      yield header;
      for (;;) yield piece;
    }
    for (const piece of [Buffer.alloc(65536, 'a'), Buffer.alloc(65536, '\n'), Buffer.alloc(65536, ENDS)]) {
      const error = await errorOf(Readable.from(endless(piece)));
      expect(error.message).toMatch(/^stream: line \d+ of the symbol text: /);
    }
  });
});

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

describe('damage at random', () => {
  const MUTATIONS = fc.array(
    fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), value: fc.integer({ min: 0, max: 255 }) }),
    { minLength: 1, maxLength: 8 },
  );

  /** Reads it; what is thrown must be of the one class. Says whether it was read. */
  async function readsOrFails(bytes: Uint8Array): Promise<boolean> {
    try {
      await readAll(bytes);
      return true;
    } catch (error) {
      if (error instanceof LazyShadowError && error.code === 'ERR_BAD_TRACE') return false;
      throw error;
    }
  }

  it('reads or gives ERR_BAD_TRACE, in time, whatever bytes of a recording change', async () => {
    const racycounter = programBytes(program('racycounter'));
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(MUTATIONS, fc.boolean(), async (mutations, inHeader) => {
        const bytes = Buffer.from(racycounter);
        const span = inHeader ? 64 : bytes.length;
        for (const { at, value } of mutations) bytes[Math.min(span - 1, Math.floor(at * span))] = value;
        const began = performance.now();
        if (!(await readsOrFails(bytes))) failed++;
        expect(performance.now() - began).toBeLessThan(2000);
      }),
      { numRuns: 500 },
    );
    expect(failed).toBeGreaterThan(100);
  });

  it('reads or gives ERR_BAD_TRACE whatever bytes of its gzip change', async () => {
    const packed = gzipSync(programBytes(program('racycounter')));
    await fc.assert(
      fc.asyncProperty(MUTATIONS, async (mutations) => {
        const bytes = Buffer.from(packed);
        // The first two bytes say that it is gzip.
        for (const { at, value } of mutations) bytes[2 + Math.floor(at * (bytes.length - 3))] = value;
        await readsOrFails(bytes);
      }),
      { numRuns: 200 },
    );
  });

  it('gives ERR_BAD_TRACE for bytes that are no recording', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (noise, withHeader) => {
        // A header that promises the noise to be events, as far as it goes.
        const header = whole().subarray(0, 64);
        header.writeUInt32LE(Math.ceil(noise.length / 32), 16);
        header.writeUInt32LE(64 + 32 * Math.ceil(noise.length / 32), 24);
        const bytes = withHeader ? Buffer.concat([header, noise]) : noise;
        expect(await readsOrFails(bytes)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});
