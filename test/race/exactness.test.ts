/**
 * Random programs: the detector's racy bytes are those of the plain checker, at every multiplier.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AtomicKind, Race } from '../../lib/race/package-race.js';
import { GRANULE_BYTES } from '../../lib/shadow/segment.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { PlainChecker, type Step } from '../support/plain-checker.js';
import { MAIN, type ProgramShape, programOf } from '../support/random-program.js';
import { HEAP_SIZE } from '../support/sizes.js';

const PC = 0x400000;

/** Each step as a call of package race. */
const CALLS: { [Op in Step['op']]: (race: Race, step: Extract<Step, { op: Op }>) => void } = {
  map: (race, { address, size }) => race.mapShadow(address, size),
  malloc: (race, { address, size }) => race.malloc(address, size),
  free: (race, { address, size }) => race.free(address, size),
  start: (race, { goroutine, child }) => race.goStart(goroutine, child, PC),
  end: (race, { goroutine }) => race.goEnd(goroutine),
  fingo: (race, { goroutine }) => race.finalizerGoroutine(goroutine),
  ignoreBegin: (race, { goroutine }) => race.ignoreSyncBegin(goroutine),
  ignoreEnd: (race, { goroutine }) => race.ignoreSyncEnd(goroutine),
  acquire: (race, { goroutine, address }) => race.acquire(goroutine, address),
  release: (race, { goroutine, address }) => race.release(goroutine, address),
  releaseMerge: (race, { goroutine, address }) => race.releaseMerge(goroutine, address),
  releaseAcquire: (race, { goroutine, address }) => race.releaseAcquire(goroutine, address),
  read: (race, { goroutine, address, size }) =>
    size === 1 ? race.read(goroutine, address, PC) : race.readRange(goroutine, address, size, PC),
  write: (race, { goroutine, address, size }) =>
    size === 1 ? race.write(goroutine, address, PC) : race.writeRange(goroutine, address, size, PC),
  load: atomic,
  store: atomic,
  update: atomic,
  failedSwap: atomic,
};

function atomic(race: Race, { op, goroutine, address, size }: Extract<Step, { op: AtomicKind }>): void {
  race.atomic(goroutine, op, address, size === 4 ? 4 : 8, PC);
}

function call(race: Race, step: Step): void {
  (CALLS[step.op] as (race: Race, step: Step) => void)(race, step);
}

function racyAddresses(steps: readonly Step[], layout: string): number[] {
  const shadow = new Shadow({ ...HEAP_SIZE, layout, policy: 'touch' });
  try {
    const race = new Race({ shadow });
    race.initialize(MAIN);
    for (const step of steps) call(race, step);
    return race.racyAddresses();
  } finally {
    shadow.release();
  }
}

function plainRacyAddresses(steps: readonly Step[]): number[] {
  const plain = new PlainChecker(MAIN);
  for (const step of steps) plain.step(step);
  return plain.racyAddresses();
}

/** Programs for each shape, or as many as there is time for: shrinking a failure must end too. */
const RUNS = 100;
const TIME_LIMIT_MS = 5_000;

const choice = fc.tuple(fc.nat(99_999), fc.nat(999_999), fc.nat(999_999));

const SHAPES: Record<string, ProgramShape> = {
  'few goroutines': { maxAlive: 4, turnover: 6, granules: 8 },
  'many goroutines on one granule': { maxAlive: 24, turnover: 12, granules: 1 },
  'goroutines that come and go': { maxAlive: 6, turnover: 40, granules: 2 },
  'more than one clock node': { maxAlive: 80, turnover: 30, granules: 3 },
};

describe.each(['node-x4', 'node-x2'])('racy bytes in layout %s', (layout) => {
  it.each(Object.entries(SHAPES))('equal those of the plain checker: %s', (_, shape) => {
    fc.assert(
      fc.property(fc.array(choice, { maxLength: 400, size: 'max' }), (choices) => {
        const steps = programOf(choices, shape);
        expect(racyAddresses(steps, layout)).toEqual(plainRacyAddresses(steps));
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
  });
});

describe('a range', () => {
  // Slots 0 and 4 put their cells at the same place of a granule: whose it is, and of which epoch, must not be mistaken.
  const [OLDER, YOUNGER] = [MAIN, 5];
  const ARENA = 0xc0_1000_0000;
  const SIZE = 5 * GRANULE_BYTES;
  const started: Step[] = [2, 3, 4, YOUNGER].map((child) => ({ op: 'start', goroutine: MAIN, child }));

  it.each([
    [OLDER, YOUNGER],
    [YOUNGER, OLDER],
  ])('of goroutine %i is met by one of goroutine %i, however far on either is', (first, second) => {
    for (const far of [first, second]) {
      const steps: Step[] = [{ op: 'map', address: ARENA, size: 4096 }, ...started];
      for (let i = 0; i < 20; i++) steps.push({ op: 'release', goroutine: far, address: ARENA + 2048 });
      steps.push({ op: 'write', goroutine: first, address: ARENA, size: SIZE });
      steps.push({ op: 'write', goroutine: second, address: ARENA, size: SIZE });
      const found = racyAddresses(steps, 'node-x4');
      expect(found).toEqual(plainRacyAddresses(steps));
      expect(found).toHaveLength(SIZE);
    }
  });

  it('does not take a list of cells for a cell of its own', () => {
    // Five readers make a granule spill, and Malloc leaves nothing in it but the list, in the place where slot 3 looks. The
    // lists of some granules begin at words that read as that slot.
    const steps: Step[] = [{ op: 'map', address: ARENA, size: 4096 }, ...started];
    steps.push({ op: 'start', goroutine: MAIN, child: 6 });
    for (let granule = ARENA + 8; granule < ARENA + 4096; granule += 16) {
      for (const goroutine of [MAIN, 2, 3, 5])
        steps.push({ op: 'read', goroutine, address: granule, size: 1 });
      steps.push({ op: 'read', goroutine: 6, address: granule + 4, size: 1 });
      steps.push({ op: 'malloc', address: granule, size: 4 });
    }
    for (let granule = ARENA + 8; granule < ARENA + 4096; granule += 16) {
      steps.push({ op: 'write', goroutine: 4, address: granule - 8, size: 16 });
    }
    const found = racyAddresses(steps, 'node-x4');
    expect(found).toEqual(plainRacyAddresses(steps));
    expect(found).toHaveLength(4096 / 16);
  });
});

describe('random programs', () => {
  it('race in some bytes and not in others, so that the comparison means something', () => {
    let racy = 0;
    let clean = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const choices =
        fc.sample(fc.array(choice, { minLength: 60, maxLength: 60 }), { seed, numRuns: 1 })[0] ?? [];
      const found = plainRacyAddresses(programOf(choices, { maxAlive: 4, turnover: 6, granules: 8 })).length;
      if (found > 0) racy++;
      if (found < 64) clean++;
    }
    expect(racy).toBeGreaterThan(5);
    expect(clean).toBeGreaterThan(5);
  });
});
