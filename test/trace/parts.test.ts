/**
 * Recordings checked by several workers: the same result as by one, whatever it is.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Shadow } from '../../lib/shadow/shadow.js';
import { EVENT_BYTES, EVENT_WORDS, HEADER_BYTES, Op } from '../../lib/trace/format.js';
import { checkInParts, firstQuiet } from '../../lib/trace/parts.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { type ReplayOptions, replayTrace } from '../../lib/trace/replay.js';
import { TraceWriter } from '../../lib/trace/writer.js';
import { program, programBytes, shippedRecording } from '../support/recordings.js';
import { emulated, HEAP_SIZE } from '../support/sizes.js';
import { unless } from '../support/skips.js';

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-parts-'));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A recording as a plain file; its path. */
function file(name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

const programFile = (name: string) => file(`${name}.trc`, programBytes(program(name)));

async function replay(source: string | Uint8Array, options: ReplayOptions) {
  const reader = await TraceReader.open(source);
  const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  try {
    const { elapsedMs, symbols, ...result } = await replayTrace(reader, shadow, options);
    return { result, committedBytes: shadow.stats().committedBytes };
  } finally {
    shadow.release();
    await reader.close();
  }
}

/** What the workers say alone. */
async function inParts(path: string, workers: number) {
  const reader = await TraceReader.open(path);
  const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  try {
    return await checkInParts(reader, shadow.layout, workers, () => undefined);
  } finally {
    shadow.release();
    await reader.close();
  }
}

describe('workers', () => {
  it.each(emulated ? ['sieve'] : ['heapgrow', 'sieve', 'churn', 'httpload'])(
    'find %s without races, without the help of one detector',
    async (name) => {
      const path = programFile(name);
      for (const workers of [2, 3]) {
        expect(await inParts(path, workers)).toMatchObject({ goroutines: program(name).goroutines });
      }
    },
  );

  it('leave the shadow of whoever asks alone where there is no race', async () => {
    const { result, committedBytes } = await replay(programFile('sieve'), { workers: 2 });
    const row = program('sieve');
    expect(result).toMatchObject({
      events: row.events,
      goroutines: row.goroutines,
      reports: [],
      racyAddresses: [],
    });
    expect(committedBytes).toBe(0);
  });

  it('tell what their own shadows had together, unless one detector had to do it', async () => {
    const { result } = await replay(programFile('heapgrow'), { workers: 2 });
    const { reservedBytes = 0, committedBytes = 0, residentBytes = 0 } = result.workersMemory ?? {};
    const alone = await replay(programFile('heapgrow'), {});
    expect(alone.result.workersMemory).toBe(undefined);
    // Each part touches at least what only it accesses, and none more than all of it.
    expect(committedBytes).toBeGreaterThanOrEqual(alone.committedBytes);
    expect(committedBytes).toBeLessThan(2 * alone.committedBytes);
    expect(residentBytes).toBeGreaterThan(0);
    expect(residentBytes).toBeLessThanOrEqual(committedBytes);
    expect(reservedBytes).toBeGreaterThan(committedBytes);
    expect((await replay(programFile('racymap'), { workers: 2 })).result.workersMemory).toBe(undefined);
  });

  it(
    'read the file that was opened, and not what has its name since',
    unless(process.platform !== 'win32', 'Windows gives no name of an open file to another'),
    async () => {
      const path = programFile('sieve');
      const reader = await TraceReader.open(path);
      const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
      try {
        renameSync(programFile('racycounter'), path);
        const { goroutines } = program('sieve');
        expect(await checkInParts(reader, shadow.layout, 2, () => undefined)).toMatchObject({ goroutines });
      } finally {
        shadow.release();
        await reader.close();
      }
    },
  );

  it('have a recording that is closed meanwhile until they are done with it', async () => {
    const reader = await TraceReader.open(programFile('sieve'));
    const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
    const order: string[] = [];
    const checked = checkInParts(reader, shadow.layout, 2, () => undefined);
    const closed = reader.close().then(() => order.push('closed'));
    expect(await checked.finally(() => order.push('checked'))).toMatchObject({
      goroutines: program('sieve').goroutines,
    });
    await closed;
    expect(order).toEqual(['checked', 'closed']);
    shadow.release();
  });

  it.each(['racycounter', 'racymap', 'crawl'])(
    'leave %s to one detector, with all of its reports',
    async (name) => {
      const path = programFile(name);
      expect(await inParts(path, 2)).toBe(undefined);
      const { result } = await replay(path, { workers: 2 });
      expect(result).toEqual((await replay(path, {})).result);
      expect(result.racyAddresses).toEqual(program(name).racyAddresses.map(Number));
    },
  );

  it('may be more than there are events', async () => {
    const path = file('empty.trc', new TraceWriter().event(Op.Initialize, { goroutine: 1 }).finish());
    expect((await replay(path, { workers: 5 })).result.events).toBe(1);
  });

  it('tell how far they are', async () => {
    const told: number[] = [];
    await replay(programFile('heapgrow'), { workers: 2, onProgress: (events) => told.push(events) });
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect(told.at(-1)).toBe(program('heapgrow').events);
  });

  it.each([0, 65, 1.5, Number.NaN])('are from 1 to 64, and not %d', async (workers) => {
    await expect(replay(programFile('sieve'), { workers })).rejects.toMatchObject({
      code: expect.stringMatching('ERR_INVALID_ARGUMENT|ERR_OUT_OF_RANGE'),
    });
  });

  it.each([
    ['packed', shippedRecording],
    ['in memory', programBytes(program('sieve'))],
  ])('take no recording that is %s', async (_, source) => {
    await expect(replay(source, { workers: 2 })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      message: expect.stringContaining('plain file'),
    });
  });
});

it('Several workers refuse a reader that was read from, and leave the shadow to whoever comes next', async () => {
  const reader = await TraceReader.open(programFile('sieve'));
  const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  const again = await TraceReader.open(programFile('sieve'));
  try {
    for await (const { count } of reader.batches()) expect(count).toBeGreaterThan(0);
    await expect(replayTrace(reader, shadow, { workers: 2 })).rejects.toMatchObject({
      code: 'ERR_INVALID_USE',
    });
    await expect(replayTrace(again, shadow, { workers: 0 })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    });
    expect((await replayTrace(again, shadow, { workers: 2 })).racyAddresses).toEqual([]);
  } finally {
    shadow.release();
    await reader.close();
    await again.close();
  }
});

const unlessEmulated = unless(!emulated, 'what is wrong with a recording is told alike everywhere');

describe('workers and a recording that is wrong', unlessEmulated, () => {
  /** The recording with an event at that place made wrong. */
  function damaged(at: number, change: (event: DataView) => void): string {
    const bytes = programBytes(program('sieve'));
    change(new DataView(bytes.buffer, bytes.byteOffset + HEADER_BYTES + at * EVENT_BYTES, EVENT_BYTES));
    return file('damaged.trc', bytes);
  }

  it.each([
    ['an op that is none', (event: DataView) => event.setUint8(0, 99)],
    ['a goroutine that was never started', (event: DataView) => event.setUint32(4, 999_999, true)],
    [
      'a goroutine that was started before',
      (event: DataView) => {
        event.setUint32(0, Op.GoStart, true);
        event.setUint32(4, 1, true);
        event.setUint32(16, 2, true);
        event.setUint32(20, 0, true);
      },
    ],
  ])('say what one detector says of %s', async (_, change) => {
    // In the first part and in the second.
    for (const at of [10_000, 50_000]) {
      const path = damaged(at, change);
      const alone = await replay(path, {}).catch((error: unknown) => error);
      expect(alone).toMatchObject({ code: 'ERR_BAD_TRACE', message: expect.stringContaining(`event ${at}`) });
      await expect(replay(path, { workers: 2 })).rejects.toEqual(alone);
    }
  });

  it('say so of one that ends too early', async () => {
    const bytes = programBytes(program('sieve'));
    const path = file('short.trc', bytes.subarray(0, 1_000_000));
    const alone = await replay(path, {}).catch((error: unknown) => error);
    expect(alone).toMatchObject({ code: 'ERR_BAD_TRACE' });
    await expect(replay(path, { workers: 3 })).rejects.toEqual(alone);
  });

  it('say so of a function that was left and not entered, whichever part it was entered in', async () => {
    const calls = (enters: number, exits: number) => {
      const writer = new TraceWriter().event(Op.Initialize, { goroutine: 1 });
      for (let i = 0; i < enters; i++) writer.event(Op.FuncEnter, { goroutine: 1, pc: 1 });
      for (let i = 0; i < exits; i++) writer.event(Op.FuncExit, { goroutine: 1 });
      return file(`calls-${enters}-${exits}.trc`, writer.finish());
    };
    // Of twenty events three parts have six or seven each: functions are left two parts after they were entered.
    expect(await inParts(calls(10, 9), 3)).toMatchObject({ goroutines: 1 });
    expect(await inParts(calls(10, 10), 3)).toMatchObject({ goroutines: 1 });
    expect(await inParts(calls(9, 10), 3)).toBe(undefined);
    await expect(replay(calls(9, 10), { workers: 3 })).rejects.toMatchObject({ code: 'ERR_BAD_TRACE' });
  });
});

describe('a part', () => {
  const begin = { goroutine: 1 };

  function quietIn(...ops: readonly Op[]): number {
    const writer = new TraceWriter();
    for (const op of ops) writer.event(op, begin);
    const bytes = writer.finish();
    return firstQuiet(new Int32Array(bytes.buffer, HEADER_BYTES, ops.length * EVENT_WORDS), ops.length);
  }

  it('begins where nobody ignores synchronisation, if that is soon', () => {
    const { FuncEnter, IgnoreSyncBegin, IgnoreSyncEnd } = Op;
    expect(quietIn(FuncEnter, FuncEnter)).toBe(0);
    expect(quietIn(IgnoreSyncBegin, IgnoreSyncEnd, FuncEnter)).toBe(0);
    expect(quietIn(FuncEnter, IgnoreSyncEnd, FuncEnter)).toBe(2);
    expect(quietIn(IgnoreSyncBegin, IgnoreSyncEnd, IgnoreSyncEnd, FuncEnter)).toBe(3);
    expect(quietIn(IgnoreSyncEnd, IgnoreSyncEnd, FuncEnter)).toBe(2);
    expect(quietIn(FuncEnter, FuncEnter, IgnoreSyncEnd)).toBe(0);
  });
});
