/**
 * Parts of a recording, each checked without the ones before it, and settled with them: whether they say that there is no race
 * exactly where there is none.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { claimWindows, Shadow } from '../../lib/shadow/shadow.js';
import { EVENT_WORDS, HEADER_BYTES } from '../../lib/trace/format.js';
import { Part } from '../../lib/trace/part.js';
import { EventValidator } from '../../lib/trace/validate.js';
import { PlainChecker, type Step } from '../support/plain-checker.js';
import { MAIN, type ProgramShape, programOf } from '../support/random-program.js';
import { HEAP_SIZE } from '../support/sizes.js';
import { recordingOf } from '../support/step-recording.js';

/** Whether parts that begin at these events say that there is no race. */
function areClean(words: Int32Array, begins: readonly number[]): boolean {
  const count = words.length / EVENT_WORDS;
  const shadows: Shadow[] = [];
  try {
    const parts: Part[] = [];
    for (const [index, from] of begins.entries()) {
      const end = begins[index + 1] ?? count;
      const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
      shadows.push(shadow);
      const part = new Part(claimWindows('areClean', shadow), shadow.layout, index === 0);
      const events = words.slice(from * EVENT_WORDS, end * EVENT_WORDS);
      if (!part.replay(new EventValidator(), events, end - from)) return false;
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

/** Programs for each shape, or as many as there is time for: shrinking a failure must end too. */
const RUNS = 100;
const TIME_LIMIT_MS = 2_000;

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

  it('see every race, be it between parts or in one', () => {
    let seen = 0;
    fc.assert(
      fc.property(programs, cuts, fc.nat(), (program, at, pick) => {
        const { clean, leftOut } = withoutRaces(program);
        const one = leftOut[pick % Math.max(1, leftOut.length)];
        if (one === undefined) return;
        const racy = [...clean.slice(0, one.at), one.step, ...clean.slice(one.at)];
        if (!races(racy)) return;
        seen++;
        const words = wordsOf(racy);
        expect(areClean(words, beginsAt(at, words))).toBe(false);
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
    expect(seen).toBeGreaterThan(10);
  });

  it('say that there is none if there is none', () => {
    fc.assert(
      fc.property(programs, cuts, (program, at) => {
        const { clean } = withoutRaces(program.filter(({ op }) => !NEEDS_THE_PAST.includes(op)));
        const words = wordsOf(clean);
        expect(areClean(words, beginsAt(at, words))).toBe(true);
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
  });

  it('mostly do so too where memory is allocated and freed, and synchronisation is ignored', () => {
    let told = 0;
    let all = 0;
    fc.assert(
      fc.property(programs, cuts, (program, at) => {
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
