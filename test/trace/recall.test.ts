/**
 * What is looked up in a recording after its replay, beside what a detector that keeps stacks tells at once: a recording in
 * memory is replayed the one way, the same as a stream the other.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { FIRST_NUMBER } from '../../lib/race/bare.js';
import { KIND, SLOT_SHIFT } from '../../lib/race/cell.js';
import { parseGorace } from '../../lib/race/gorace.js';
import { RaceLog } from '../../lib/race/race-log.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { StackNumbers } from '../../lib/trace/calls.js';
import { EVENT_WORDS, Op } from '../../lib/trace/format.js';
import { TraceReader, uncheckedBatches } from '../../lib/trace/reader.js';
import { type NumberedRace, Recall } from '../../lib/trace/recall.js';
import { replayTrace } from '../../lib/trace/replay.js';
import type { TraceInput } from '../../lib/trace/source.js';
import type { TraceWriter } from '../../lib/trace/writer.js';
import { PlainChecker } from '../support/plain-checker.js';
import { MAIN, type ProgramShape, programOf } from '../support/random-program.js';
import { programBytes, programs, raceTests } from '../support/recordings.js';
import { HEAP_SIZE } from '../support/sizes.js';
import { recordingWithCalls } from '../support/step-recording.js';
import { begun } from '../support/traces.js';

const HEAP = 0xc0_0000_0000;

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-recall-'));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A file; its path. */
function file(name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

/** All reports, as Go's suite asks for them. */
const ALL = 'suppress_equal_stacks=0 suppress_equal_addresses=0';

async function replay(source: TraceInput, gorace = '') {
  const reader = await TraceReader.open(source);
  const shadow = new Shadow({ ...HEAP_SIZE, layout: 'node-x2', policy: 'touch' });
  try {
    const { elapsedMs, symbols, name, ...result } = await replayTrace(reader, shadow, {
      gorace: parseGorace(gorace),
    });
    return { ...result, committedBytes: shadow.stats().committedBytes };
  } finally {
    shadow.release();
    await reader.close();
  }
}

const inMemory = (bytes: Uint8Array, gorace?: string) => replay(bytes, gorace);
const asStream = (bytes: Uint8Array, gorace?: string) => replay(Readable.from([bytes]), gorace);

/** Memory and three goroutines besides the main one. */
function started(): TraceWriter {
  const writer = begun().event(Op.MapShadow, { addr: HEAP, arg: 2 ** 24 });
  for (const child of [2, 3, 4]) writer.event(Op.GoStart, { goroutine: 1, arg: child, pc: 0x4000 + child });
  return writer;
}

describe('a recording that can be read again gives the reports of one that cannot', () => {
  const choice = fc.tuple(fc.nat(99_999), fc.nat(999_999), fc.nat(999_999));
  const SHAPES: Record<string, ProgramShape> = {
    'few goroutines': { maxAlive: 4, turnover: 6, granules: 8 },
    'many goroutines on one granule': { maxAlive: 24, turnover: 12, granules: 1 },
    'goroutines that come and go': { maxAlive: 6, turnover: 40, granules: 2 },
  };
  it.each(Object.entries(SHAPES))('random programs: %s', async (_, shape) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(choice, { maxLength: 300, size: 'max' }),
        fc.constantFrom('', ALL, 'suppress_equal_addresses=0', 'halt_on_error=1'),
        async (choices, gorace) => {
          const steps = programOf(choices, shape);
          const bytes = recordingWithCalls(steps).finish();
          const recalled = await inMemory(bytes, gorace);
          expect(recalled).toEqual(await asStream(bytes, gorace));
          if (gorace === 'halt_on_error=1') return;
          const plain = new PlainChecker(MAIN);
          for (const step of steps) plain.step(step);
          expect(recalled.racyAddresses).toEqual(plain.racyAddresses());
        },
      ),
      { numRuns: 60, interruptAfterTimeLimit: 8000 },
    );
  });

  it('Go programs', { timeout: 120_000 }, async () => {
    for (const row of programs()) {
      const bytes = programBytes(row);
      for (const gorace of row.race ? ['', ALL] : [''])
        expect(await inMemory(bytes, gorace)).toEqual(await asStream(bytes, gorace));
    }
  });

  it('the tests of Go’s race suite', { timeout: 240_000 }, async () => {
    let tests = 0;
    let reports = 0;
    for await (const { bytes } of raceTests()) {
      // Some of them: the others are replayed elsewhere, each once.
      if (tests++ % 4 > 0) continue;
      const recalled = await inMemory(bytes, ALL);
      expect(recalled).toEqual(await asStream(bytes, ALL));
      reports += recalled.reports.length;
    }
    expect(reports).toBeGreaterThan(100);
  });
});

describe('what is recalled', () => {
  const write = (goroutine: number, pc: number, addr = HEAP) =>
    [Op.Write, { goroutine, addr, pc, size: 1 }] as const;
  const add = (writer: TraceWriter, ...events: (readonly [Op, object])[]) =>
    events.reduce((to, [op, fields]) => to.event(op, fields), writer);

  it('is every stack, however long ago it was', async () => {
    const writer = add(started(), [Op.FuncEnter, { goroutine: 2, pc: 0x77 }], write(2, 0x100));
    // More than a detector that keeps stacks remembers of a goroutine.
    for (let i = 0; i < 70_000; i++) writer.event(Op.Release, { goroutine: 2, addr: HEAP + 4096 });
    const bytes = add(writer, [Op.FuncExit, { goroutine: 2 }], write(3, 0x300)).finish();
    const [told] = (await asStream(bytes)).reports;
    expect(told?.previous.stack).toBeNull();
    const packed = gzipSync(bytes, { level: 1 });
    for (const source of [bytes, packed, file('plain.trc', bytes), file('packed.trc.gz', packed)]) {
      const [recalled] = (await replay(source)).reports;
      expect(recalled).toEqual({ ...told, previous: { ...told?.previous, stack: [0x100, 0x77] } });
    }
  });

  it('is the latest allocation, however many came after it', async () => {
    const writer = started().event(Op.Malloc, { addr: HEAP, arg: 64 });
    for (let i = 0; i < 70_000; i++) writer.event(Op.Malloc, { addr: HEAP + 4096, arg: 8 });
    const bytes = add(writer, write(2, 1), write(3, 2)).finish();
    expect((await asStream(bytes)).reports).toMatchObject([{ location: { kind: 'region' } }]);
    expect((await inMemory(bytes)).reports).toMatchObject([
      { location: { kind: 'object', address: HEAP, sizeBytes: 64, offset: 0 } },
    ]);
  });

  it('is who allocated, with the stack of then', async () => {
    const bytes = add(
      started(),
      [Op.FuncEnter, { goroutine: 4, pc: 0x77 }],
      [Op.Malloc, { addr: HEAP, arg: 16 }],
      [Op.FuncExit, { goroutine: 4 }],
      [Op.GoEnd, { goroutine: 4 }],
      write(2, 1, HEAP + 8),
      write(3, 2, HEAP + 8),
    ).finish();
    const { reports } = await inMemory(bytes);
    expect(reports).toEqual((await asStream(bytes)).reports);
    expect(reports).toMatchObject([{ location: { allocated: { goroutine: 4, stack: [0x77] }, offset: 8 } }]);
  });

  it('is no stack where it is not known which of several accesses raced', async () => {
    const writer = add(started(), write(2, 0x100), write(2, 0x200, HEAP + 1));
    // Each granule seven merged accesses, until those of the first are not remembered.
    for (let at = HEAP + 8; at < HEAP + 8 + (8 * 2 ** 20) / 7 + 8; at++) add(writer, write(2, 0x300, at));
    const bytes = add(writer, write(3, 0x400), write(3, 0x500, HEAP + 1)).finish();
    const { reports } = await inMemory(bytes, ALL);
    expect(reports.map(({ previous }) => previous.stack)).toEqual([null, [0x200]]);
    expect(reports).toMatchObject([
      { address: HEAP, previous: { goroutine: 2, sizeBytes: 2 } },
      { address: HEAP + 1, previous: { goroutine: 2, sizeBytes: 1 } },
    ]);
  });

  it('is the access of a cell of several that touched the racy bytes, whichever granule it was merged in', async () => {
    // One range is merged into the cells of both granules that it begins and ends in, of different accesses.
    const bytes = add(
      started(),
      write(2, 0x100, HEAP),
      write(2, 0x200, HEAP + 15),
      [Op.WriteRange, { goroutine: 2, addr: HEAP + 4, arg: 8, pc: 0x300 }],
      ...[0, 4, 7, 8, 11, 15].map((byte) => write(3, 0x400 + byte, HEAP + byte)),
    ).finish();
    const { reports } = await inMemory(bytes, ALL);
    expect(reports).toEqual((await asStream(bytes, ALL)).reports);
    expect(reports.map(({ previous }) => previous.stack?.[0])).toEqual([
      0x100, 0x300, 0x300, 0x300, 0x300, 0x200,
    ]);
  });

  it('is told before the fault that a recording ends with', async () => {
    const bytes = add(started(), write(2, 1), write(3, 2), [Op.FuncExit, { goroutine: 3 }]).finish();
    for (const source of [bytes, Readable.from([bytes])]) {
      const reader = await TraceReader.open(source);
      const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
      const addresses: number[] = [];
      const replayed = replayTrace(reader, shadow, { onReport: ({ address }) => addresses.push(address) });
      await expect(replayed).rejects.toMatchObject({ code: 'ERR_BAD_TRACE' });
      expect(addresses).toEqual([HEAP]);
      await reader.close();
      shadow.release();
    }
  });
});

describe('the second pass', () => {
  it('passes no more events than the last race that is told needs', async () => {
    const writer = started();
    const first = writer.eventCount;
    // One race, three times; its address is told once.
    for (const goroutine of [2, 3, 2, 3])
      writer.event(Op.Write, { goroutine, addr: HEAP, pc: 0x100, size: 1 });
    const reader = await TraceReader.open(writer.finish());
    const { value: batch } = await uncheckedBatches(reader).next();
    const told: number[] = [];
    const log = new RaceLog({
      gorace: parseGorace(''),
      ranges: [],
      onReport: ({ current }) => told.push(current.goroutine),
    });
    const word = (slot: number) => (slot << SLOT_SHIFT) | KIND | 1;
    const race = (later: number): NumberedRace => ({
      granule: HEAP,
      word: word(later),
      oldWord: word(1 - later),
      event: 0,
      oldEvent: 0,
      goroutine: 2 + later,
      oldGoroutine: 3 - later,
      oldIsRunning: true,
      range: undefined,
    });
    const at = (index: number) => first + index + FIRST_NUMBER;
    const recall = new Recall(
      [1, 2, 3].map((index) => ({ ...race(index & 1), event: at(index), oldEvent: at(index - 1) })),
      log,
      new StackNumbers(),
    );
    expect(recall.end).toBe(first + 4);
    recall.take({ ...batch, count: first + 1 });
    expect(recall.isDone).toBe(false);
    recall.take({
      ...batch,
      words: batch.words.subarray(EVENT_WORDS * (first + 1)),
      firstEvent: first + 1,
      count: 1,
    });
    expect([recall.isDone, told]).toEqual([true, [3]]);
    await reader.close();
  });
});

describe('more races than a first pass tells', () => {
  it('have one numbering of stacks: a later one is told, and the same stacks again are not', async () => {
    const writer = started();
    for (const [index, granules] of [1, 100, 1, 100].entries()) {
      for (const goroutine of [2, 3]) {
        const addr = HEAP + index * 2 ** 12;
        const pc = 0x100 * (index === 3 ? 1 : index) + goroutine;
        writer.event(Op.WriteRange, { goroutine, addr, arg: 8 * granules, pc });
      }
    }
    const bytes = writer.finish();
    const found = await inMemory(bytes);
    expect(found.reports.map(({ address }) => address)).toEqual(
      [0, 1, 2].map((index) => HEAP + index * 2 ** 12),
    );
    expect(found).toEqual(await asStream(bytes));
  });
});

describe('very many races', () => {
  /** Two writes of as many granules as are too many to look up, and a race before and behind. */
  const sizeBytes = 8 * 2 ** 16;
  const crowded = () => {
    const writer = started();
    for (const addr of [HEAP, HEAP + 2 ** 20]) {
      for (const goroutine of [2, 3])
        writer.event(Op.Write, { goroutine, addr, pc: 0x100 + goroutine, size: 1 });
      for (const goroutine of [2, 3])
        writer.event(Op.WriteRange, { goroutine, addr: addr + 64, arg: sizeBytes, pc: 0x200 + goroutine });
      writer.event(Op.Release, { goroutine: 2, addr: HEAP + 2 ** 21 });
    }
    return writer.finish();
  };

  it.each(['', 'suppress_equal_stacks=0', 'halt_on_error=1'])('are told once each: %s', async (gorace) => {
    const bytes = crowded();
    const found = await inMemory(bytes, gorace);
    const { events, reports } = found;
    expect(found).toEqual(await asStream(bytes, gorace));
    if (gorace !== '') return;
    expect(found.racyAddresses).toHaveLength(2 * (1 + sizeBytes));
    // Of what is packed the symbols come last, whoever has read the events.
    expect(await replay(file('crowded.trc.gz', gzipSync(bytes)))).toMatchObject({ events, reports });
  });
});
