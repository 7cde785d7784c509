import { describe, expect, it, vi } from 'vitest';
import { parseGorace } from '../../lib/race/gorace.js';
import { Op } from '../../lib/trace/format.js';
import { program, programBytes } from '../support/recordings.js';
import { replay } from '../support/replays.js';
import { begun } from '../support/traces.js';

const HEAP = 0xc0_0000_0000;

describe('replayTrace', () => {
  it('counts events, goroutines and time, and tells how far it is', async () => {
    const row = program('crawl');
    const progress: number[] = [];
    const result = await replay(programBytes(row), {
      onProgress: (events) => progress.push(events),
    });
    expect(result).toMatchObject({
      events: row.events,
      goroutines: row.goroutines,
    });
    expect(result.elapsedMs).toBeGreaterThan(0);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress.length).toBeGreaterThan(2);
    expect(progress.at(-1)).toBe(row.events);
  });

  it('stops at the first report with halt_on_error', async () => {
    const bytes = programBytes(program('racymap'));
    const gorace = parseGorace('halt_on_error=1 suppress_equal_addresses=0 suppress_equal_stacks=0');
    const halted = await replay(bytes, { gorace });
    expect(halted.reports).toHaveLength(1);
    expect(halted.events).toBeLessThan(program('racymap').events);
    expect(halted.symbols.pcCount).toBeGreaterThan(0);
  });

  it('checks what it does not replay after a halt', async () => {
    const gorace = parseGorace('halt_on_error=1');
    const raced = begun()
      .event(Op.MapShadow, { addr: HEAP, arg: 4096 })
      .event(Op.GoStart, { goroutine: 1, arg: 2 })
      .event(Op.Write, { goroutine: 1, addr: HEAP, pc: 0x4a613b, size: 1 })
      .event(Op.Write, { goroutine: 2, addr: HEAP, pc: 0x4a613b, size: 1 });
    expect(await replay(raced.finish(), { gorace })).toMatchObject({ events: 5, reports: [{}] });
    // In the batch of the halt, and in a later one.
    for (const between of [0, 2 ** 17]) {
      const damaged = begun()
        .event(Op.MapShadow, { addr: HEAP, arg: 4096 })
        .event(Op.GoStart, { goroutine: 1, arg: 2 })
        .event(Op.Write, { goroutine: 1, addr: HEAP, pc: 0x4a613b, size: 1 })
        .event(Op.Write, { goroutine: 2, addr: HEAP, pc: 0x4a613b, size: 1 });
      for (let i = 0; i < between; i++) damaged.event(Op.Read, { goroutine: 2, addr: HEAP, pc: 1, size: 1 });
      damaged.event(Op.FuncExit, { goroutine: 2 });
      const error = `recording in memory: event ${5 + between}: FuncExit by goroutine 2, which is in no function`;
      await expect(replay(damaged.finish(), { gorace })).rejects.toThrow(error);
    }
  });

  it('gives each report to the callback', async () => {
    const addresses: number[] = [];
    const { reports } = await replay(programBytes(program('racymap')), {
      onReport: ({ address }) => addresses.push(address),
    });
    expect(addresses).toEqual(reports.map(({ address }) => address));
  });

  it('replays a recording without races or symbols', async () => {
    const bytes = begun().event(Op.MapShadow, { addr: HEAP, arg: 4096 }).finish();
    expect(await replay(bytes)).toMatchObject({
      events: 2,
      goroutines: 1,
      reports: [],
      racyAddresses: [],
    });
  });

  it.each([
    ['an end without a begin', Op.IgnoreSyncEnd, { goroutine: 1 }, /IgnoreSyncEnd without IgnoreSyncBegin/],
    [
      'memory that the layout has no shadow for',
      Op.MapShadow,
      { addr: 2 ** 46, arg: 4096 },
      /application range/,
    ],
  ])('says at which event a recording has %s', async (_, op, fields, message) => {
    const bytes = begun().event(op, fields).finish();
    await expect(replay(bytes)).rejects.toMatchObject({
      code: 'ERR_BAD_TRACE',
      message: expect.stringMatching(/^recording in memory: event 1: /),
    });
    await expect(replay(bytes)).rejects.toThrow(message);
  });

  it('says at which event something outgrew what V8 can hold', async () => {
    const bytes = begun()
      .event(Op.Acquire, { goroutine: 1, addr: 0x7000_0000_0000 })
      .event(Op.Release, { goroutine: 1, addr: 0x7000_0000_0000 })
      .finish();
    const set = Map.prototype.set;
    // As V8 does at 2^24 entries.
    const full = vi.spyOn(Map.prototype, 'set').mockImplementation(function (this: unknown, key, value) {
      if (key === 0x7000_0000_0000) throw new RangeError('Map maximum size exceeded');
      return set.call(this as Map<unknown, unknown>, key, value);
    });
    const error = replay(bytes).finally(() => full.mockRestore());
    await expect(error).rejects.toMatchObject({ code: 'ERR_OUT_OF_MEMORY', verb: 'replayTrace' });
    await expect(error).rejects.toThrow('recording in memory: event 2: the program uses more than');
  });
});
