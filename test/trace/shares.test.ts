/**
 * Replays in shares: several workers, each with a share of the addresses, find what one detector finds.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_GORACE, parseGorace } from '../../lib/race/gorace.js';
import { GoSuppression, ShareSuppression } from '../../lib/race/suppression.js';
import { POLICIES, type Policy } from '../../lib/shadow/policies.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { type ReplayOptions, replayTrace } from '../../lib/trace/replay.js';
import { BLOCK_SHIFT } from '../../lib/trace/share.js';
import type { TraceWriter } from '../../lib/trace/writer.js';
import { program, programBytes, raceTests } from '../support/recordings.js';
import { HEAP_SIZE, slow } from '../support/sizes.js';
import { begun } from '../support/traces.js';

const BLOCK = 2 ** BLOCK_SHIFT;
const HEAP = 0xc0_0000_0000;
/** What Go's suite sets, so that it sees each race. */
const EACH_RACE = parseGorace('suppress_equal_stacks=0 suppress_equal_addresses=0');

interface Options extends ReplayOptions {
  readonly policy?: Policy;
}

/** All that a replay says, without the time. */
async function replay(bytes: Uint8Array, { policy = 'touch', ...options }: Options = {}) {
  const shadow = new Shadow({ ...HEAP_SIZE, policy });
  const reader = await TraceReader.open(bytes);
  try {
    const { elapsedMs: _, symbols: __, ...found } = await replayTrace(reader, shadow, options);
    return found;
  } finally {
    await reader.close();
    shadow.release();
    // No worker holds on to it.
    expect(() => Shadow.attach(shadow.id)).toThrow();
  }
}

/** Expects of so many workers what one finds, and returns it. */
async function expectAlike(bytes: Uint8Array, options: Options, ...counts: number[]) {
  const alone = await replay(bytes, options);
  for (const workers of counts) expect(await replay(bytes, { ...options, workers })).toEqual(alone);
  return alone;
}

describe('a replay by several workers', () => {
  it.each(['racycounter', 'racymap', 'sieve', 'crawl', 'heapgrow'])(
    'finds in %s what one does',
    async (name) => {
      const row = program(name);
      const { racyAddresses } = await expectAlike(programBytes(row), {}, 2, 3);
      expect(racyAddresses.map((address) => `0x${address.toString(16)}`)).toEqual(row.racyAddresses);
    },
    60_000,
  );

  it('finds in Go’s race tests what one does, report by report', async () => {
    let seen = 0;
    let reports = 0;
    for await (const { bytes } of raceTests()) {
      if (seen++ % (slow ? 64 : 32) !== 0) continue;
      reports += (await expectAlike(bytes, { gorace: EACH_RACE }, 2)).reports.length;
      await expectAlike(bytes, {}, 2);
    }
    expect(reports).toBeGreaterThan(slow ? 3 : 8);
  }, 120_000);

  it.each(POLICIES)('finds the same under %s', async (policy) => {
    await expectAlike(programBytes(program('racymap')), { policy }, 2);
  });

  it('finds the races of random programs over the edges of blocks', async () => {
    let racy = 0;
    const choice = fc.tuple(fc.nat(99), fc.nat(4), fc.nat(3), fc.integer({ min: -40, max: 40 }), fc.nat(3));
    const programs = fc.array(choice, { minLength: 100, maxLength: 400, size: 'max' });
    await fc.assert(
      fc.asyncProperty(
        programs,
        fc.integer({ min: 2, max: 4 }),
        fc.boolean(),
        async (choices, workers, each) => {
          const gorace = each ? EACH_RACE : DEFAULT_GORACE;
          const { racyAddresses } = await expectAlike(recordingOf(choices), { gorace }, workers);
          racy += racyAddresses.length;
        },
      ),
      { numRuns: slow ? 4 : 12 },
    );
    expect(racy).toBeGreaterThan(0);
  }, 60_000);

  it('takes batches that come one after the other, more than are on their way at once', async () => {
    const events = 12 * 65_536;
    const recording = begun().event(Op.MapShadow, { addr: HEAP, arg: 64 * BLOCK });
    for (const goroutine of [2, 3])
      recording.event(Op.GoStart, { goroutine: 1, arg: goroutine, pc: 0x400000 });
    for (let i = 0; i < events; i++) {
      const goroutine = 2 + (i % 3 === 0 ? 1 : 0);
      recording.event(Op.Write, {
        size: 1,
        goroutine,
        addr: HEAP + (i % 64) * BLOCK + (i % 4096),
        pc: 0x400000 + (i % 5),
      });
    }
    const progress: number[] = [];
    const bytes = recording.finish();
    const alone = await replay(bytes);
    const shared = await replay(bytes, { workers: 2, onProgress: (done) => progress.push(done) });
    expect(shared).toEqual(alone);
    expect(alone.racyAddresses.length).toBeGreaterThan(1000);
    expect(progress).toHaveLength(Math.ceil(alone.events / 65_536));
    expect(progress.at(-1)).toBe(alone.events);
  }, 60_000);

  it('says at which event of the recording it failed, and tells the reports before that', async () => {
    const recording = begun().event(Op.MapShadow, { addr: HEAP, arg: 4096 });
    racingWrites(recording, HEAP);
    const lock = recording.event(Op.IgnoreSyncEnd, { goroutine: 1 });
    const reports: unknown[] = [];
    const failing = replay(lock.finish(), { workers: 2, onReport: (report) => reports.push(report) });
    await expect(failing).rejects.toMatchObject({ code: 'ERR_BAD_TRACE' });
    await expect(failing).rejects.toThrow(/recording in memory: event 6: IgnoreSyncEnd without/);
  });

  it('passes on what the callbacks throw', async () => {
    const recording = begun().event(Op.MapShadow, { addr: HEAP, arg: 4096 });
    racingWrites(recording, HEAP);
    const onReport = () => {
      throw new Error('enough');
    };
    await expect(replay(recording.finish(), { workers: 2, onReport })).rejects.toThrow('enough');
  });

  it('is of one with halt_on_error', async () => {
    const bytes = programBytes(program('racymap'));
    await expectAlike(bytes, { gorace: parseGorace('halt_on_error=1') }, 2);
  });

  it.each([0, -1, 1.5, 65, Number.NaN, '2'])('of %j is refused', async (workers) => {
    const bytes = begun().finish();
    const replayed = replay(bytes, { workers: workers as number });
    await expect(replayed).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT', verb: 'replayTrace' });
  });
});

/** Two goroutines write the same 8 bytes: four events. */
function racingWrites(recording: TraceWriter, address: number): void {
  for (const goroutine of [2, 3]) recording.event(Op.GoStart, { goroutine: 1, arg: goroutine, pc: 0x400000 });
  for (const goroutine of [2, 3])
    recording.event(Op.WriteRange, { goroutine, addr: address, arg: 8, pc: 0x500000 });
}

/** A program of five goroutines on both sides of the edges of four blocks. */
function recordingOf(choices: readonly (readonly [number, number, number, number, number])[]): Uint8Array {
  const recording = begun().event(Op.MapShadow, { addr: HEAP, arg: 6 * BLOCK });
  for (let goroutine = 2; goroutine < 6; goroutine++)
    recording.event(Op.GoStart, { goroutine: 1, arg: goroutine, pc: 0x400000 });
  for (const [what, who, edge, offset, lock] of choices) {
    const goroutine = who + 1;
    const addr = HEAP + (edge + 1) * BLOCK + offset;
    const at = { goroutine, addr, pc: 0x500000 + (what % 7) };
    const byte = { ...at, size: 1 };
    const wide = { ...at, addr: addr - (addr % 8) };
    const sync = { goroutine, addr: HEAP + (lock + 1) * BLOCK - 8 };
    if (what < 20) recording.event(Op.Read, byte);
    else if (what < 40) recording.event(Op.Write, byte);
    else if (what < 50) recording.event(Op.ReadRange, { ...at, arg: 1 + (what % 3) * BLOCK });
    else if (what < 60) recording.event(Op.WriteRange, { ...at, arg: 1 + (what % 30) });
    else if (what < 65) recording.event(Op.AtomicLoad, { ...wide, size: 8 });
    else if (what < 70) recording.event(Op.AtomicStore, { ...wide, size: 8 });
    else if (what < 75) recording.event(Op.WritePC, { ...byte, arg: 0x600000 });
    else if (what < 80) recording.event(Op.Acquire, sync);
    else if (what < 85) recording.event(Op.Release, sync);
    else if (what < 88) recording.event(Op.ReleaseMerge, sync);
    else if (what < 92) recording.event(Op.Malloc, { ...at, arg: 1 + (what % 3) * BLOCK });
    else if (what < 94) recording.event(Op.Free, { ...at, arg: 64 });
    else recording.event(Op.FuncEnter, { goroutine, pc: 0x700000 + what });
  }
  return recording.finish();
}

describe('what shares let through', () => {
  it('is enough for Go’s rule to tell what it tells of all, and little', () => {
    const sighting = fc.record({
      granule: fc.nat(5).map((n) => n * 8),
      touched: fc.constantFrom(0x01, 0x0f, 0x3c, 0xf0, 0xff),
      current: fc.integer({ min: 1, max: 4 }),
      previous: fc.nat(4),
    });
    const options = fc.record({ suppressEqualStacks: fc.boolean(), suppressEqualAddresses: fc.boolean() });
    fc.assert(
      fc.property(fc.array(sighting, { maxLength: 200 }), fc.nat(2), options, (sightings, more, given) => {
        const gorace = { ...DEFAULT_GORACE, ...given };
        const all = new GoSuppression(gorace);
        const merged = new GoSuppression(gorace);
        const shares = Array.from({ length: more + 1 }, () => new ShareSuppression(gorace));
        const tells = (
          rule: GoSuppression | ShareSuppression,
          { granule, touched, current, previous }: (typeof sightings)[number],
        ) => !rule.hidesAddress(granule, touched) && rule.tells(granule, touched, current, previous);
        let through = 0;
        for (const each of sightings) {
          const share = shares[(each.granule / 8) % shares.length] as ShareSuppression;
          const passes = tells(share, each);
          if (passes) through++;
          expect(passes && tells(merged, each)).toBe(tells(all, each));
        }
        // 20 pairs of stacks at most, each with 6 granules and 5 masks.
        if (given.suppressEqualStacks) expect(through).toBeLessThanOrEqual(shares.length * 20 * 30);
      }),
      { numRuns: 2000 },
    );
  });

  it('is one race in a loop over many addresses', () => {
    const share = new ShareSuppression(DEFAULT_GORACE);
    let through = 0;
    for (let granule = 0; granule < 80_000; granule += 8) if (share.tells(granule, 0xff, 1, 2)) through++;
    expect(through).toBe(1);
  });
});
