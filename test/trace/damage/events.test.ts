/**
 * Recordings with an event that no program can have made, each refused by its number and by what is wrong with it; and
 * those with an event that only looks so, which are read.
 */
import { describe, expect, it } from 'vitest';
import { Op } from '../../../lib/trace/format.js';
import { TraceReader } from '../../../lib/trace/reader.js';
import type { EventFields, TraceWriter } from '../../../lib/trace/writer.js';
import { problemOf } from '../../support/damage.js';
import { begun, errorOf, readAll } from '../../support/traces.js';

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
