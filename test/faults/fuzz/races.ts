/**
 * Random calls to Race and to Go's functions over it: goroutines that there are and that there are not, addresses with
 * shadow and without, a shadow that goes away under the detector.
 *
 * No model says which races there are (test/race/exactness.test.ts has one): here every call must come back.
 */
import { createRaceRuntime, type RaceRuntime } from '../../../lib/race/race.js';
import { type AtomicKind, Race, type RaceOptions } from '../../../lib/race/package-race.js';
import type { RaceReport } from '../../../lib/race/report.js';
import { jsonRace } from '../../../lib/race/report-json.js';
import { formatReport } from '../../../lib/race/report-text.js';
import { POLICIES } from '../../../lib/shadow/policies.js';
import { Shadow } from '../../../lib/shadow/shadow.js';
import type { Actor, World } from './actor.js';
import { anything } from './arguments.js';
import { insist } from './calls.js';

const HEAP = 0xc0_0000_0000;
/** Where programs access most: a few granules on two sides of the border of a segment. */
const AREA = HEAP + 2 ** 28 - 256;
const AREA_BYTES = 512;
/** All of it may be accessed at once, and its shadow is four times that. */
const HEAP_BYTES = 2 ** 28 + 2 ** 20;
const MOST_GOROUTINES = 40;
/** Calls that one detector gets. */
const MOST_CALLS = 4000;

export class RaceActor implements Actor {
  readonly #world: World;
  #shadow: Shadow | undefined;
  #race: Race | undefined;
  #runtime: RaceRuntime | undefined;
  #goroutines: number[] = [];
  #started = 0;
  #calls = 0;
  #reports: RaceReport[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  step(): void {
    if (this.#shadow === undefined || this.#calls > MOST_CALLS) return this.#make();
    this.#calls++;
    const race = this.#race;
    if (race === undefined) return this.#asGo();
    const { random } = this.#world;
    random.weighted<() => void>([
      [60, () => this.#access(race)],
      [15, () => this.#synchronise(race)],
      [5, () => this.#turnover(race)],
      [8, () => this.#memory(race)],
      [5, () => this.#function(race)],
      [0.05, () => this.#shadow?.release()],
      [0.2, () => this.#underneath()],
      [0.05, () => this.#finalize(race)],
      [0.2, () => this.#makeWrongly()],
    ])();
  }

  verify(): void {
    const shadow = this.#shadow;
    if (shadow === undefined || shadow.released || this.#race === undefined) return;
    const { policy } = shadow;
    const { committedBytes, osCommittedBytes } = shadow.stats();
    if (policy === 'lazy' || policy === 'touch') {
      insist(
        committedBytes === osCommittedBytes,
        () => `under ${policy} the system counts ${osCommittedBytes}`,
      );
    }
    const racy = this.#race.racyAddresses();
    insist(
      racy.every((address, i) => i === 0 || address > (racy[i - 1] ?? 0)),
      () => 'racy addresses out of order',
    );
    insist(this.#race.reportCount === this.#reports.length, () => 'a report was lost');
    for (const report of this.#reports.slice(-3)) {
      insist(formatReport(report, { symbolize: () => [] }).includes('DATA RACE'), () => 'no report');
      insist(jsonRace(report, () => []).address.startsWith('0x'), () => 'no JSON');
    }
  }

  end(): void {
    this.#shadow?.release();
    this.#shadow = undefined;
    this.#race = undefined;
  }

  #make(): void {
    const { random, calls, thread } = this.#world;
    this.end();
    const start = 0x5800_0000_0000 + thread * 2 ** 40;
    const multiplier = random.pick([2, 4]);
    const layout = {
      name: 'race',
      application: [{ name: 'heap', start: HEAP, end: HEAP + HEAP_BYTES }],
      shadow: { base: start - multiplier * HEAP, multiplier },
      metainfo: { base: start + 2 ** 38 - HEAP / 2 },
    };
    const shadow = calls.loosely(
      'new Shadow',
      [],
      () => new Shadow({ layout, policy: random.pick(POLICIES) }),
    );
    if (shadow === undefined) return;
    this.#shadow = shadow;
    this.#reports = [];
    const options: RaceOptions = { shadow, onReport: (report) => this.#reports.push(report) };
    this.#goroutines = [];
    this.#started = 0;
    this.#calls = 0;
    this.#race = undefined;
    this.#runtime = undefined;
    if (random.percent(20)) {
      const runtime = calls.exactly('createRaceRuntime', [], undefined, () => createRaceRuntime(options));
      this.#runtime = runtime;
      calls.loosely('raceinit', [1], () => runtime?.raceinit(1, AREA, AREA_BYTES));
      this.#goroutines = [1];
    } else {
      this.#race = calls.exactly('new Race', [], undefined, () => new Race(options));
      if (random.percent(90)) this.#initialize();
      if (random.percent(90)) this.#map(AREA, AREA_BYTES);
    }
    calls.exactly('new Race', [], 'ERR_INVALID_USE', () => new Race(options));
  }

  #makeWrongly(): void {
    const { random, calls } = this.#world;
    const options = random.pick<unknown>([
      anything(random),
      { shadow: anything(random) },
      { shadow: this.#shadow },
    ]);
    calls.loosely('new Race', [options], () => new Race(options as RaceOptions));
    calls.loosely('createRaceRuntime', [options], () => createRaceRuntime(options as RaceOptions));
  }

  #initialize(): void {
    const { calls } = this.#world;
    const race = this.#race;
    if (race === undefined) return;
    calls.loosely('initialize', [1], () => race.initialize(1));
    this.#goroutines = [1];
    this.#started = 1;
  }

  #map(address: number, sizeBytes: number): void {
    this.#world.calls.loosely('mapShadow', [address, sizeBytes], () =>
      this.#race?.mapShadow(address, sizeBytes),
    );
  }

  #goroutine(): number {
    const { random } = this.#world;
    if (this.#goroutines.length > 0 && random.percent(95)) return random.pick(this.#goroutines);
    return random.pick([0, -1, this.#started + 1, 2 ** 31, 2 ** 32, 2 ** 40, anything(random)]) as number;
  }

  #address(): number {
    const { random } = this.#world;
    if (random.percent(90)) return AREA + random.below(AREA_BYTES);
    return random.pick([HEAP, HEAP + 2 ** 30 - 1, 8, 2 ** 48 - 1, AREA - 8, anything(random)]) as number;
  }

  #pc(): number {
    const { random } = this.#world;
    return random.percent(97) ? 0x40_0000 + random.below(64) : (anything(random) as number);
  }

  #access(race: Race): void {
    const { random, calls } = this.#world;
    const [goroutine, address, pc] = [this.#goroutine(), this.#address(), this.#pc()];
    const kind = random.below(10);
    if (kind < 6) {
      const verb = random.pick(['read', 'write'] as const);
      const caller = random.percent(50) ? 0 : this.#pc();
      calls.loosely(verb, [goroutine, address, pc, caller], () => race[verb](goroutine, address, pc, caller));
    } else if (kind < 8) {
      const verb = random.pick(['readRange', 'writeRange'] as const);
      const size = random.percent(90)
        ? random.size(200)
        : (random.pick([0, 2 ** 20, anything(random)]) as number);
      calls.loosely(verb, [goroutine, address, size, pc], () => race[verb](goroutine, address, size, pc));
    } else {
      const what = random.pick<AtomicKind>([
        'load',
        'store',
        'update',
        'failedSwap',
        'nothing' as AtomicKind,
      ]);
      const size = random.percent(95) ? random.pick([4, 8] as const) : (anything(random) as 4);
      const aligned = typeof address === 'number' ? address - (address % 8) : address;
      calls.loosely('atomic', [goroutine, what, aligned, size, pc], () =>
        race.atomic(goroutine, what, aligned, size, pc, this.#pc()),
      );
    }
  }

  #synchronise(race: Race): void {
    const { random, calls } = this.#world;
    const [goroutine, address] = [this.#goroutine(), this.#address()];
    const verb = random.pick(['acquire', 'release', 'releaseMerge', 'releaseAcquire'] as const);
    calls.loosely(verb, [goroutine, address], () => race[verb](goroutine, address));
    if (random.percent(5)) {
      const ignore = random.pick(['ignoreSyncBegin', 'ignoreSyncEnd', 'finalizerGoroutine'] as const);
      calls.loosely(ignore, [goroutine], () => race[ignore](goroutine));
    }
  }

  #turnover(race: Race): void {
    const { random, calls } = this.#world;
    const goroutine = this.#goroutine();
    if (this.#goroutines.length < MOST_GOROUTINES && random.percent(60)) {
      const child = random.percent(90) ? this.#started + 1 : this.#goroutine();
      const started = calls.loosely('goStart', [goroutine, child], () => {
        race.goStart(goroutine, child, this.#pc());
        return true;
      });
      if (started === undefined) return;
      this.#goroutines.push(child);
      this.#started = Math.max(this.#started, Math.min(child, 2 ** 20));
      return;
    }
    const ended = calls.loosely('goEnd', [goroutine], () => {
      race.goEnd(goroutine);
      return true;
    });
    if (ended) this.#goroutines = this.#goroutines.filter((each) => each !== goroutine);
  }

  #memory(race: Race): void {
    const { random, calls } = this.#world;
    const address = this.#address();
    const size = random.percent(90) ? random.size(2 ** 17) : (anything(random) as number);
    const verb = random.pick(['malloc', 'free', 'mapShadow', 'unmapShadow'] as const);
    calls.loosely(verb, [address, size], () => race[verb](address, size));
  }

  #function(race: Race): void {
    const { random, calls } = this.#world;
    const goroutine = this.#goroutine();
    if (random.percent(50))
      calls.loosely('funcEnter', [goroutine], () => race.funcEnter(goroutine, this.#pc()));
    else calls.loosely('funcExit', [goroutine], () => race.funcExit(goroutine));
  }

  /** By Go's names. */
  #asGo(): void {
    const { random, calls } = this.#world;
    const runtime = this.#runtime;
    if (runtime === undefined) return;
    const names = Object.keys(runtime).filter(
      (name) => typeof runtime[name as keyof RaceRuntime] === 'function',
    );
    const name = random.pick(names) as 'raceread';
    const args = [this.#goroutine(), this.#address(), this.#pc(), this.#pc(), this.#pc()] as const;
    calls.loosely(name, args, () => (runtime[name] as (...all: readonly number[]) => unknown)(...args));
  }

  /** The shadow changes without the detector's knowing. */
  #underneath(): void {
    const { random, calls } = this.#world;
    const verb = random.pick(['mapShadow', 'unmapShadow'] as const);
    const address = AREA + random.below(AREA_BYTES);
    calls.loosely(`shadow.${verb}`, [address], () => this.#shadow?.[verb](address, random.size(2 ** 16)));
  }

  #finalize(race: Race): void {
    this.#world.calls.loosely('finalize', [], () => race.finalize());
  }
}
