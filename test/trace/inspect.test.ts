import { describe, expect, it } from 'vitest';
import { Op } from '../../lib/trace/format.js';
import { inspectTrace } from '../../lib/trace/inspect.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { program, shippedRecording } from '../support/recordings.js';
import { begun } from '../support/traces.js';

describe('inspectTrace', () => {
  it('says what a small program holds', async () => {
    const bytes = begun()
      .event(Op.MapShadow, { addr: 0xc000000000, arg: 0x4000000 })
      .event(Op.MapShadow, { addr: 0x1000, arg: 0x1000 })
      .event(Op.Malloc, { addr: 0xc000000000, arg: 32 })
      .event(Op.Malloc, { addr: 0xc000000020, arg: 48 })
      .event(Op.Free, { addr: 0xc000000000, arg: 32 })
      .event(Op.GoStart, { goroutine: 1, arg: 2, pc: 0x100 })
      .event(Op.GoStart, { goroutine: 1, arg: 3, pc: 0x100 })
      .event(Op.GoEnd, { goroutine: 2 })
      .event(Op.GoStart, { goroutine: 1, arg: 4, pc: 0x100 })
      .event(Op.GoEnd, { goroutine: 3 })
      .event(Op.Write, { goroutine: 1, addr: 0xc000000020, size: 1, pc: 0x200 })
      .event(Op.Read, { goroutine: 1, addr: 0xc000000027, size: 1, pc: 0x201 })
      .event(Op.AtomicFetchAdd, { goroutine: 4, addr: 0xc000000028, size: 8, pc: 0x300 })
      .event(Op.WriteRange, { goroutine: 1, addr: 0x1ffc, arg: 8, pc: 0x201 })
      .event(Op.ReadRange, { goroutine: 1, addr: 0x9000, arg: 0, pc: 0x999 })
      .finish([
        '200\tmain.inlined\ta.go\t1\t0\tmain.main\tmain.go\t9\t9',
        '201\tmain.inlined\ta.go\t2\t4',
        '300\tsync/atomic.AddInt64\tasm.s\t1\t0',
        '100\tmain.main\tmain.go\t5\t1',
      ]);
    const reader = await TraceReader.open(bytes);
    expect(await inspectTrace(reader)).toEqual({
      trace: 'recording in memory',
      version: 1,
      events: 16,
      pcs: 4,
      calls: [
        { call: 'GoStart', count: 3 },
        { call: 'MapShadow', count: 2 },
        { call: 'GoEnd', count: 2 },
        { call: 'Malloc', count: 2 },
        { call: 'Initialize', count: 1 },
        { call: 'Read', count: 1 },
        { call: 'Write', count: 1 },
        { call: 'ReadRange', count: 1 },
        { call: 'WriteRange', count: 1 },
        { call: 'Free', count: 1 },
        { call: 'AtomicFetchAdd', count: 1 },
      ],
      goroutines: { started: 4, ended: 2, mostAlive: 3 },
      mapped: [
        { address: 0xc000000000, sizeBytes: 0x4000000 },
        { address: 0x1000, sizeBytes: 0x1000 },
      ],
      mappedBytes: 0x4001000,
      touched: { sizeBytes: 32, pages: 3, complete: true },
      heap: { mallocs: 2, mallocBytes: 80, frees: 1, freeBytes: 32 },
      topFunctions: [
        { function: 'main.main', file: 'main.go', events: 3 },
        { function: 'main.inlined', file: 'a.go', events: 3 },
        { function: 'sync/atomic.AddInt64', file: 'asm.s', events: 1 },
      ],
    });
  });

  it('says of the shipped recording what its manifest says', async () => {
    const row = program('heapgrow');
    const reader = await TraceReader.open(shippedRecording);
    const summary = await inspectTrace(reader);
    await reader.close();
    expect(summary.events).toBe(row.events);
    expect(summary.goroutines.started).toBe(row.goroutines);
    expect(
      summary.mapped.map(({ address, sizeBytes }) => [address, sizeBytes].map((n) => `0x${n.toString(16)}`)),
    ).toEqual(row.mapShadow);
    expect(summary.calls.reduce((sum, { count }) => sum + count, 0)).toBe(row.events);
    expect(summary.topFunctions[0]?.function).toBe('main.main');
    expect(summary.topFunctions).toHaveLength(10);
  });

  it('names no functions when there are no symbols', async () => {
    const bytes = begun().event(Op.Read, { goroutine: 1, addr: 1, size: 1, pc: 5 }).finish();
    expect((await inspectTrace(await TraceReader.open(bytes))).topFunctions).toEqual([]);
  });

  it('gives the damage of events and of symbols', async () => {
    const events = begun().event(Op.Read, { goroutine: 9, size: 1 }).finish();
    await expect(inspectTrace(await TraceReader.open(events))).rejects.toMatchObject({
      code: 'ERR_BAD_TRACE',
    });
    const symbols = begun().finish(['no symbols']);
    await expect(inspectTrace(await TraceReader.open(symbols))).rejects.toMatchObject({
      code: 'ERR_BAD_TRACE',
    });
  });
});
