/**
 * Parts of a recording, each checked without the ones before it, and settled with them: whether they say that there is no race
 * exactly where there is none.
 */
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REPLAY_LAYOUT } from '../../lib/shadow/layouts.js';
import { claimWindows, Shadow } from '../../lib/shadow/shadow.js';
import { EVENT_WORDS, HEADER_BYTES } from '../../lib/trace/format.js';
import { Part } from '../../lib/trace/part.js';
import { EventValidator } from '../../lib/trace/validate.js';
import { PlainChecker, type Step } from '../support/plain-checker.js';
import { MAIN, type ProgramShape, programOf } from '../support/random-program.js';
import { HEAP_SIZE } from '../support/sizes.js';
import { recordingOf } from '../support/step-recording.js';

/**
 * Whether parts that begin at these events say that there is no race. Whoever calls lets Node come back to its event
 * loop between: only there the tables of detectors are given back that are no more.
 */
function areClean(words: Int32Array, begins: readonly number[]): boolean {
  const count = words.length / EVENT_WORDS;
  const shadows: Shadow[] = [];
  try {
    const parts: Part[] = [];
    for (const [index, from] of begins.entries()) {
      const end = begins[index + 1] ?? count;
      const shadow = new Shadow({ ...HEAP_SIZE, layout: REPLAY_LAYOUT, policy: 'touch' });
      shadows.push(shadow);
      const part = new Part(claimWindows('areClean', shadow), shadow.layout, index === 0);
      const events = words.slice(from * EVENT_WORDS, end * EVENT_WORDS);
      if (!part.replay(new EventValidator(), events, end - from, 0)) return false;
      parts.push(part);
    }
    for (let later = 1; later < parts.length; later++) {
      let open = parts[later]?.unsettled();
      for (let before = later - 1; before >= 0; before--) {
        open = open && parts[before]?.settle(open);
        if (open === undefined) return false;
      }
    }
    return true;
  } finally {
    for (const shadow of shadows) shadow.release();
  }
}

function wordsOf(steps: readonly Step[]): Int32Array {
  const bytes = recordingOf(steps).finish();
  return new Int32Array(bytes.buffer, bytes.byteOffset + HEADER_BYTES, (steps.length + 1) * EVENT_WORDS);
}

function races(steps: readonly Step[]): boolean {
  const plain = new PlainChecker(MAIN);
  for (const step of steps) plain.step(step);
  return plain.racy.size > 0;
}

/**
 * A program without the reads and writes that race, up to the first atomic that does; and where those were that are left
 * out.
 */
function withoutRaces(steps: readonly Step[]): { clean: Step[]; leftOut: { at: number; step: Step }[] } {
  const plain = new PlainChecker(MAIN);
  const clean: Step[] = [];
  const leftOut: { at: number; step: Step }[] = [];
  for (const step of steps) {
    plain.racy.clear();
    plain.step(step);
    if (plain.racy.size === 0) clean.push(step);
    else if (step.op === 'read' || step.op === 'write') leftOut.push({ at: clean.length, step });
    else break;
  }
  return { clean, leftOut };
}

/** Where parts begin: at the start, and at these thousandths of the events. */
function beginsAt(cuts: readonly number[], words: Int32Array): number[] {
  const count = words.length / EVENT_WORDS;
  const begins = cuts.map((cut) => Math.floor((cut * count) / 1000)).sort((a, b) => a - b);
  return [...new Set([0, ...begins])];
}

/** Programs for each shape: a number, and no time, since some must be seen to race on a slow machine too. */
const RUNS = 50;
/** Only for shrinking a failure, which must end. */
const TIME_LIMIT_MS = 30_000;

const choice = fc.tuple(fc.nat(99_999), fc.nat(999_999), fc.nat(999_999));
const cuts = fc.array(fc.nat(999), { minLength: 1, maxLength: 3 });

const SHAPES: Record<string, ProgramShape> = {
  'few goroutines': { maxAlive: 4, turnover: 6, granules: 8 },
  'many goroutines on one granule': { maxAlive: 24, turnover: 12, granules: 1 },
  'goroutines that come and go': { maxAlive: 6, turnover: 40, granules: 2 },
  'more than one clock node': { maxAlive: 80, turnover: 30, granules: 3 },
};

/** Calls for which a part may say of a program without races that it cannot tell. */
const NEEDS_THE_PAST: readonly Step['op'][] = ['fingo', 'malloc', 'free', 'ignoreBegin', 'ignoreEnd'];

describe.each(Object.entries(SHAPES))('parts of random programs: %s', (_, shape) => {
  const programs = fc
    .array(choice, { maxLength: 200, size: 'max' })
    .map((choices) => programOf(choices, shape));

  // Cut a few steps before the access that races: mostly what it races with is in the part before, or in the one before that.
  it('see a race, be it between parts or in one', async () => {
    let seen = 0;
    await fc.assert(
      fc.asyncProperty(programs, fc.nat(), fc.nat(30), fc.nat(30), async (program, pick, near, far) => {
        await setImmediate();
        const { clean, leftOut } = withoutRaces(program);
        const one = leftOut[pick % Math.max(1, leftOut.length)];
        if (one === undefined) return;
        const racy = [...clean.slice(0, one.at), one.step, ...clean.slice(one.at)];
        if (!races(racy)) return;
        seen++;
        const begins = [0, one.at + 1 - near - far, one.at + 1 - near].filter((begin) => begin >= 0);
        expect(areClean(wordsOf(racy), begins)).toBe(false);
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
    expect(seen).toBeGreaterThan(RUNS / 10);
  });

  it('say that there is none if there is none', async () => {
    await fc.assert(
      fc.asyncProperty(programs, cuts, async (program, at) => {
        await setImmediate();
        const { clean } = withoutRaces(program.filter(({ op }) => !NEEDS_THE_PAST.includes(op)));
        const words = wordsOf(clean);
        expect(areClean(words, beginsAt(at, words))).toBe(true);
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
  });

  it('mostly do so too where memory is allocated and freed, and synchronisation is ignored', async () => {
    let told = 0;
    let all = 0;
    await fc.assert(
      fc.asyncProperty(programs, cuts, async (program, at) => {
        await setImmediate();
        const { clean } = withoutRaces(program.filter(({ op }) => op !== 'fingo'));
        const words = wordsOf(clean);
        all++;
        if (areClean(words, beginsAt(at, words))) told++;
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
    expect(told).toBeGreaterThan(all / 2);
  });
});

describe('parts see a race', () => {
  const X = 0xc0_0000_0000;
  const LOCK = X + 1024;
  const CUT = 'cut' as const;

  /** What the parts say of a program of goroutines MAIN and 2 that is cut there, which is expected to race, or not. */
  function partsOf(steps: readonly (Step | typeof CUT)[], expected: 'race' | 'clean'): boolean {
    const program: Step[] = [
      { op: 'map', address: X, size: 4096 },
      { op: 'start', goroutine: MAIN, child: 2 },
    ];
    const begins = [0];
    for (const step of steps) {
      // Event 0 is the Initialize.
      if (step === CUT) begins.push(program.length + 1);
      else program.push(step);
    }
    expect(races(program)).toBe(expected === 'race');
    return areClean(wordsOf(program), begins);
  }

  const write = (goroutine: number, address = X, size = 1): Step => ({
    op: 'write',
    goroutine,
    address,
    size,
  });
  const release = (goroutine: number): Step => ({ op: 'release', goroutine, address: LOCK });
  const acquire = (goroutine: number): Step => ({ op: 'acquire', goroutine, address: LOCK });

  it('unless a lock of the past says that there is none', () => {
    expect(partsOf([write(MAIN), CUT, write(2)], 'race')).toBe(false);
    expect(partsOf([write(MAIN), release(MAIN), CUT, acquire(2), write(2)], 'clean')).toBe(true);
    expect(
      partsOf([write(MAIN), release(MAIN), CUT, write(MAIN, X + 8), CUT, acquire(2), write(2)], 'clean'),
    ).toBe(true);
    expect(partsOf([release(MAIN), write(MAIN), CUT, acquire(2), write(2)], 'race')).toBe(false);
  });

  it('with a part that is not the one before', () => {
    expect(partsOf([write(MAIN), CUT, write(MAIN, X + 8), CUT, write(2)], 'race')).toBe(false);
  });

  it('though the lock of the past was freed', () => {
    const free: Step = { op: 'free', address: LOCK, size: 8 };
    expect(partsOf([write(MAIN), release(MAIN), CUT, free, acquire(2), write(2)], 'race')).toBe(false);
    expect(partsOf([write(MAIN), release(MAIN), CUT, free, CUT, acquire(2), write(2)], 'race')).toBe(false);
  });

  it('in the bytes that were not allocated since', () => {
    const malloc: Step = { op: 'malloc', address: X, size: 4 };
    expect(partsOf([write(MAIN, X, 8), CUT, malloc, write(2, X + 4)], 'race')).toBe(false);
    expect(partsOf([write(MAIN, X, 8), CUT, malloc, write(2, X + 3)], 'clean')).toBe(true);
    expect(partsOf([write(MAIN, X, 8), CUT, malloc, write(2, X + 3, 2)], 'race')).toBe(false);
    expect(partsOf([write(MAIN, X, 8), CUT, malloc, CUT, write(2, X + 3, 2)], 'race')).toBe(false);
    expect(partsOf([write(MAIN, X, 8), CUT, malloc, CUT, write(2, X + 3)], 'clean')).toBe(true);
  });

  it('where an earlier access of the part is weaker, or not ordered', () => {
    const read: Step = { op: 'read', goroutine: MAIN, address: X, size: 1 };
    const readOf2: Step = { op: 'read', goroutine: 2, address: X, size: 1 };
    expect(partsOf([readOf2, CUT, read, write(MAIN)], 'race')).toBe(false);
    expect(partsOf([write(MAIN), CUT, read, readOf2], 'race')).toBe(false);
  });

  it('of a goroutine that got the slot of one of the past without knowing it', () => {
    const start: Step = { op: 'start', goroutine: MAIN, child: 3 };
    expect(partsOf([write(2), CUT, { op: 'end', goroutine: 2 }, start, write(3)], 'race')).toBe(false);
  });

  it('where synchronisation is ignored across the cut', () => {
    const begin: Step = { op: 'ignoreBegin', goroutine: MAIN };
    const end: Step = { op: 'ignoreEnd', goroutine: MAIN };
    const rest = [acquire(2), write(2)];
    expect(partsOf([write(MAIN), begin, CUT, release(MAIN), end, ...rest], 'race')).toBe(false);
    expect(partsOf([write(MAIN), begin, CUT, release(MAIN), ...rest], 'race')).toBe(false);
    expect(partsOf([write(MAIN), begin, CUT, end, release(MAIN), ...rest], 'clean')).toBe(true);
  });

  it('with an access that is in a list of cells, or of one whose granule has a list', () => {
    const others = [3, 4, 5, 6];
    const starts = others.map((child): Step => ({ op: 'start', goroutine: MAIN, child }));
    const read = (goroutine: number): Step => ({ op: 'read', goroutine, address: X, size: 1 });
    const reads = [2, ...others].map(read);
    for (const unordered of [2, ...others]) {
      const merges = [2, ...others]
        .filter((goroutine) => goroutine !== unordered)
        .map((goroutine): Step => ({ op: 'releaseMerge', goroutine, address: LOCK }));
      expect(partsOf([...starts, ...reads, ...merges, CUT, acquire(MAIN), write(MAIN)], 'race')).toBe(false);
    }
    const ordered = [2, 3, 4, 5].flatMap((goroutine) => [acquire(goroutine), read(goroutine)]);
    const begin = [...starts, write(MAIN), release(MAIN), CUT, ...ordered];
    expect(partsOf([...begin, read(6)], 'race')).toBe(false);
    expect(partsOf([...begin, acquire(6), read(6)], 'clean')).toBe(true);
  });

  it('of a read with a write that is in a list of cells', () => {
    const writers = [2, 3, 4, 5];
    const starts = writers.map((child): Step => ({ op: 'start', goroutine: MAIN, child }));
    const writes = writers.map((goroutine) => write(goroutine, X + goroutine));
    const read = (address: number): Step => ({ op: 'read', goroutine: MAIN, address, size: 1 });
    for (const writer of writers) {
      expect(partsOf([...starts.slice(1), ...writes, CUT, read(X + writer)], 'race')).toBe(false);
    }
    expect(partsOf([...starts.slice(1), ...writes, CUT, read(X)], 'clean')).toBe(true);
  });

  it('in any granule of a range', () => {
    for (const granule of [X, X + 8, X + 16]) {
      expect(partsOf([write(MAIN, granule), CUT, write(2, X, 24)], 'race')).toBe(false);
    }
  });

  it('though it is only in the part before that memory was mapped', () => {
    const map: Step = { op: 'map', address: X + 2 ** 20, size: 4096 };
    expect(partsOf([write(MAIN), CUT, map, write(2)], 'race')).toBe(false);
  });

  it('unless one of several locks says that there is none, whichever was learned of first', () => {
    const other: Step = { op: 'release', goroutine: MAIN, address: LOCK + 8 };
    const learned: Step = { op: 'acquire', goroutine: 2, address: LOCK + 8 };
    const program = [other, write(MAIN), release(MAIN), CUT, acquire(2), write(2, X + 8), learned, write(2)];
    expect(partsOf(program, 'clean')).toBe(true);
  });

  it('with more slots than a node of a clock has words for, from some event on', () => {
    // All clocks that are held get another level then, those of whose sources were asked too.
    const starts = Array.from({ length: 40 }, (_, i): Step => ({
      op: 'start',
      goroutine: MAIN,
      child: 3 + i,
    }));
    const lock = (i: number) => LOCK + 8 * i;
    const releases = starts.map((_, i): Step => ({ op: 'release', goroutine: MAIN, address: lock(i) }));
    const learned = starts.flatMap((_, i): Step[] => [
      { op: 'acquire', goroutine: 2, address: lock(i) },
      write(2, X + 8 * i),
    ]);
    const all = write(MAIN, X, 8 * starts.length);
    expect(
      partsOf([all, ...releases, CUT, ...learned.slice(0, 8), ...starts, ...learned.slice(8)], 'clean'),
    ).toBe(true);
    expect(
      partsOf([...releases, all, CUT, ...learned.slice(0, 8), ...starts, ...learned.slice(8)], 'race'),
    ).toBe(false);
  });

  it('unless a lock says that there is none that was learned of after clocks got another level', () => {
    const lock = (i: number) => LOCK + 8 * i;
    const locks = Array.from({ length: 50 }, (_, i) => i);
    // Who knows lock i is ordered after the first i writes and no more.
    const past = locks.flatMap((i): Step[] => [
      write(MAIN, X + 8 * i),
      { op: 'release', goroutine: MAIN, address: lock(i) },
    ]);
    const learn = (goroutine: number, from: number, end: number) =>
      locks.slice(from, end).map((i): Step => ({ op: 'acquire', goroutine, address: lock(i) }));
    // 32 slots: goroutine 2 and its locks. The clock that it has at its write is held, and has every word of its node.
    const first = [...learn(2, 0, 31), write(2)];
    const rest = (goroutine: number) => [...learn(goroutine, 31, 50), write(goroutine, X + 8 * 49)];
    expect(partsOf([...past, CUT, ...first, ...rest(2)], 'clean')).toBe(true);
    const told = LOCK - 8;
    const another: Step[] = [
      { op: 'release', goroutine: 2, address: told },
      { op: 'acquire', goroutine: 3, address: told },
      ...rest(3),
    ];
    const start: Step = { op: 'start', goroutine: MAIN, child: 3 };
    expect(partsOf([start, ...past, CUT, ...first, ...another], 'clean')).toBe(true);
  });

  it('unless finalizers ran in the first part; or cannot tell, if they do in a later one', () => {
    const finalizer = (goroutine: number): Step => ({ op: 'fingo', goroutine });
    expect(partsOf([finalizer(MAIN), write(2), CUT, write(MAIN)], 'clean')).toBe(true);
    expect(partsOf([write(MAIN), CUT, write(MAIN, X + 8), finalizer(2), write(2)], 'clean')).toBe(false);
  });
});
