/**
 * Random calls to Shadow, under every policy and over layouts of all shapes.
 *
 * The model: which application bytes are mapped; under `lazy` that says to the page what is committed.
 */
import { geometry } from '../../../lib/native/system.js';
import { type Layout, LAYOUT_NAMES } from '../../../lib/shadow/layouts.js';
import { POLICIES, type Policy } from '../../../lib/shadow/policies.js';
import { Shadow, type ShadowOptions } from '../../../lib/shadow/shadow.js';
import { chargedBytes, linux, type Mapping, usageOf } from '../../support/proc.js';
import type { Actor, World } from './actor.js';
import { anything, meaning, noNumber, someRange } from './arguments.js';
import { type Expected, insist } from './calls.js';
import { type Interval, IntervalSet } from './interval-set.js';

const { pageSizeBytes: PAGE, addressEnd: END } = geometry();

const HEAP = 0xc0_0000_0000;
const HEAP_BYTES = 2 ** 32;
/** Most that one call maps: its shadow is eight times that at most. */
const MOST_MAPPED_BYTES = 2 ** 22;
const MOST_SHADOWS = 6;
/** Places for shadow, of this thread (up to four threads end below the layouts' metainfo): no two shadows share one, so that none is ever taken. */
const PLACES = 8;
const PLACE_BYTES = 2 ** 37;

interface Subject {
  readonly shadow: Shadow;
  readonly place: number;
  readonly bytesPerGranule: readonly number[];
  readonly mapped: IntervalSet;
}

export class ShadowActor implements Actor {
  readonly #world: World;
  #subjects: Subject[] = [];
  #released: Shadow[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  step(): void {
    const { random } = this.#world;
    if (this.#subjects.length === 0) return this.#make();
    random.weighted<() => void>([
      [1, () => this.#make()],
      [1, () => this.#makeWrongly()],
      [1, () => this.#release()],
      [1, () => this.#attach()],
      [2, () => this.#useReleased()],
      [40, () => this.#map()],
      [15, () => this.#unmap()],
      [15, () => this.#isMapped()],
      [10, () => this.#mappedBytes()],
      [15, () => this.#translate()],
    ])();
  }

  verify(kernel: readonly Mapping[]): void {
    for (const subject of this.#subjects) {
      const { shadow, mapped } = subject;
      const stats = shadow.stats();
      const name = `the shadow under ${shadow.policy} at 0x${shadow.spans[0]?.address.toString(16)}`;
      insist(
        stats.mappedBytes === mapped.total,
        () => `${name} has ${stats.mappedBytes} mapped, not ${mapped.total}`,
      );
      insist(stats.mergedIslands === 0, () => `${name} merged islands`);
      const { policy } = shadow;
      if (policy !== 'lazy' && policy !== 'touch') continue;
      const wanted = policy === 'lazy' ? this.#pagesOf(subject) : 0;
      insist(stats.committedBytes === wanted, () => `${name} counts ${stats.committedBytes}, not ${wanted}`);
      insist(stats.osCommittedBytes === wanted, () => `${name}: the system counts ${stats.osCommittedBytes}`);
      if (!linux) continue;
      const charged = shadow.spans.reduce(
        (sum, span) => sum + chargedBytes(span.address, span.sizeBytes, kernel),
        0,
      );
      insist(charged === wanted, () => `${name}: smaps has ${charged}, not ${wanted}`);
      for (const { address, sizeBytes } of shadow.spans) {
        insist(
          usageOf(address, sizeBytes, kernel).mappedBytes === sizeBytes,
          () => `${name} is not all mapped`,
        );
      }
    }
  }

  end(): void {
    for (const { shadow } of this.#subjects) shadow.release();
    this.#subjects = [];
  }

  /** A shadow that this thread may use as it likes, and forget: for others to build on. */
  lend(): Shadow | undefined {
    return this.#subjects.length === 0 ? undefined : this.#world.random.pick(this.#subjects).shadow;
  }

  /** Bytes of the pages that hold shadow of what is mapped. */
  #pagesOf({ shadow, bytesPerGranule, mapped }: Subject): number {
    const pages = bytesPerGranule.map((bytes) =>
      mapped.mapped(([start, end]): Interval => {
        const from = Math.floor(start / 8) * bytes;
        const to = Math.ceil(end / 8) * bytes;
        return [Math.floor(from / PAGE) * PAGE, Math.ceil(to / PAGE) * PAGE];
      }),
    );
    insist(shadow.spans.length > 0, () => 'a shadow without spans');
    return pages.reduce((sum, set) => sum + set.total, 0);
  }

  #make(): void {
    const { random, calls, thread } = this.#world;
    if (this.#subjects.length >= MOST_SHADOWS) return this.#release();
    const place = random.pick(
      Array.from({ length: PLACES }, (_, i) => i).filter((i) =>
        this.#subjects.every((each) => each.place !== i),
      ),
    );
    const multiplier = random.pick([1, 2, 4, 8]);
    const withMetainfo = random.percent(70);
    const start = 0x4800_0000_0000 + (thread * PLACES + place) * 2 * PLACE_BYTES;
    // Bases are those of address 0.
    const shadowBase = start - HEAP * multiplier;
    const metainfoBase = start + PLACE_BYTES - HEAP / 2;
    const layout: Layout = {
      name: `place ${place}`,
      application: [{ name: 'heap', start: HEAP, end: HEAP + HEAP_BYTES }],
      shadow: { base: shadowBase, multiplier },
      metainfo: withMetainfo ? { base: metainfoBase } : null,
    };
    const options: ShadowOptions = {
      layout,
      policy: random.pick(POLICIES),
      ...(random.percent(20) && { touchBlockBytes: random.pick([PAGE, 65536, 2 ** 20]) }),
    };
    const shadow = calls.exactly('new Shadow', [options.policy], undefined, () => new Shadow(options));
    if (shadow === undefined) return;
    const bytesPerGranule = [8 * multiplier, ...(withMetainfo ? [4] : [])];
    this.#subjects.push({ shadow, place, bytesPerGranule, mapped: new IntervalSet() });
  }

  #makeWrongly(): void {
    const { random, calls } = this.#world;
    const options = random.weighted<() => unknown>([
      [2, () => anything(random)],
      [1, () => ({ policy: anything(random) })],
      [1, () => ({ policy: random.pick<unknown>(['LAZY', '', 'constructor']) })],
      [2, () => ({ layout: anything(random) })],
      [1, () => ({ layout: random.pick(['node-x3', '__proto__']) })],
      [2, () => ({ layout: this.#someLayout() })],
      [1, () => ({ heapBytes: anything(random), policy: 'touch' })],
      [1, () => ({ touchBlockBytes: anything(random), policy: 'touch' })],
      [
        1,
        () => ({
          layout: random.pick(LAYOUT_NAMES),
          policy: random.pick<Policy>(['lazy', 'touch', 'unreserved']),
        }),
      ],
    ])();
    const made = calls.loosely('new Shadow', [options], () => new Shadow(options as ShadowOptions));
    if (made !== undefined) calls.exactly('release', [], undefined, () => made.release());
  }

  /** A layout of which anything may be wrong. */
  #someLayout(): unknown {
    const { random } = this.#world;
    const number = () => (random.percent(70) ? 2 ** random.below(48) : anything(random));
    const span = () => (random.percent(70) ? undefined : { start: number(), end: number() });
    const range = () =>
      random.percent(90) ? { name: 'x', start: number(), end: number() } : anything(random);
    return {
      name: random.percent(90) ? 'some' : anything(random),
      application: random.percent(90) ? Array.from({ length: random.below(4) }, range) : anything(random),
      shadow: random.percent(90)
        ? { base: number(), multiplier: random.below(9), span: span() }
        : anything(random),
      metainfo: random.percent(50) ? null : { base: number(), span: span() },
    };
  }

  #release(): void {
    const { random, calls } = this.#world;
    const at = random.below(this.#subjects.length);
    const [subject] = this.#subjects.splice(at, 1);
    if (subject === undefined) return;
    calls.exactly('release', [], undefined, () => subject.shadow.release());
    this.#released.push(subject.shadow);
    if (this.#released.length > 4) this.#released.shift();
  }

  #attach(): void {
    const { random, calls } = this.#world;
    const { shadow, mapped } = random.pick(this.#subjects);
    const id = random.percent(80) ? shadow.id : random.pick([0, 2 ** 40, noNumber(random)]);
    const expected: Expected = id === shadow.id ? undefined : 'ERR_INVALID_ARGUMENT';
    const other = calls.exactly('Shadow.attach', [id], expected, () => Shadow.attach(id as number));
    if (other === undefined) return;
    const start = HEAP + random.below(HEAP_BYTES / 2);
    calls.exactly('mapShadow', [start, 100], undefined, () => other.mapShadow(start, 100));
    mapped.add(start, start + 100);
    calls.exactly('release', [], undefined, () => other.release());
  }

  #useReleased(): void {
    const { random, calls } = this.#world;
    if (this.#released.length === 0) return;
    const shadow = random.pick(this.#released);
    const [address, size] = this.#range();
    const verb = random.pick(['mapShadow', 'unmapShadow', 'isMapped', 'mappedBytes'] as const);
    calls.exactly(verb, [address, size], 'ERR_RELEASED', () =>
      shadow[verb](address as number, size as number),
    );
    calls.exactly('stats', [], 'ERR_RELEASED', () => shadow.stats());
  }

  #map(): void {
    const { random, calls } = this.#world;
    const { shadow, mapped } = random.pick(this.#subjects);
    const [address, size] = this.#range();
    const range = rangeOf(address, size, true);
    if (typeof range !== 'string' && range[1] - range[0] > 2 * MOST_MAPPED_BYTES) return;
    const expected = typeof range === 'string' ? range : undefined;
    calls.exactly('mapShadow', [address, size], expected, () =>
      shadow.mapShadow(address as number, size as number),
    );
    if (typeof range !== 'string') mapped.add(...range);
  }

  #unmap(): void {
    const { random, calls } = this.#world;
    const { shadow, mapped } = random.pick(this.#subjects);
    const [address, size] = random.percent(60) ? this.#partOf(mapped) : this.#range();
    const range = rangeOf(address, size, true);
    const expected = typeof range === 'string' ? range : undefined;
    calls.exactly('unmapShadow', [address, size], expected, () =>
      shadow.unmapShadow(address as number, size as number),
    );
    if (typeof range !== 'string') mapped.remove(...range);
  }

  #isMapped(): void {
    const { random, calls } = this.#world;
    const { shadow, mapped } = random.pick(this.#subjects);
    const [address, size] = random.percent(60) ? this.#partOf(mapped) : this.#range();
    const range = rangeOf(address, size === undefined ? 1 : size, false);
    const expected = typeof range === 'string' ? range : undefined;
    const answer = calls.exactly('isMapped', [address, size], expected, () =>
      shadow.isMapped(address as number, size as number),
    );
    if (typeof range === 'string') return;
    const is = mapped.within(...range) === range[1] - range[0];
    insist(answer === is, () => `isMapped says ${answer}`);
  }

  #mappedBytes(): void {
    const { random, calls } = this.#world;
    const { shadow, mapped } = random.pick(this.#subjects);
    const [address, size] = this.#range();
    const range = rangeOf(address, size, false);
    const expected = typeof range === 'string' ? range : undefined;
    const answer = calls.exactly('mappedBytes', [address, size], expected, () =>
      shadow.mappedBytes(address as number, size as number),
    );
    if (typeof range === 'string') return;
    insist(answer === mapped.within(...range), () => `mappedBytes says ${answer}`);
  }

  #translate(): void {
    const { random, calls } = this.#world;
    const { shadow, bytesPerGranule } = random.pick(this.#subjects);
    const address = random.percent(80) ? HEAP + random.below(HEAP_BYTES) : anything(random);
    const start = meaning(address);
    let expected: Expected;
    if (start === undefined) expected = 'ERR_INVALID_ARGUMENT';
    else if (start < HEAP || start >= HEAP + HEAP_BYTES) expected = 'ERR_OUT_OF_RANGE';
    const target = calls.exactly('memToShadow', [address], expected, () =>
      shadow.memToShadow(address as number),
    );
    if (target !== undefined && start !== undefined) {
      const span = shadow.spans.find(({ plane }) => plane === 'shadow');
      const offset = (Math.floor(start / 8) - HEAP / 8) * (bytesPerGranule[0] ?? 0);
      insist(target === (span?.address ?? 0) + offset, () => `memToShadow gives 0x${target.toString(16)}`);
    }
    if (expected === undefined && shadow.layout.metainfo === null) expected = 'ERR_UNSUPPORTED';
    calls.exactly('memToMetainfo', [address], expected, () => shadow.memToMetainfo(address as number));
  }

  #range(): [unknown, unknown] {
    const { random } = this.#world;
    // Across the border of a segment too, which is at multiples of 256 MiB.
    const start = random.pick([
      HEAP,
      HEAP + 2 ** 28 - MOST_MAPPED_BYTES / 2,
      HEAP + HEAP_BYTES - MOST_MAPPED_BYTES,
    ]);
    return someRange(random, start, start + MOST_MAPPED_BYTES, random.pick([8, PAGE]));
  }

  #partOf(mapped: IntervalSet): [unknown, unknown] {
    const { random } = this.#world;
    if (mapped.intervals.length === 0) return this.#range();
    const [start, end] = random.pick(mapped.intervals);
    return someRange(random, start, Math.max(end, start + 8), 8);
  }
}

/** What a range means: from and to, or the code that it is refused with. `inHeap`: it must lie in the layout's. */
function rangeOf(address: unknown, size: unknown, inHeap: boolean): [number, number] | NonNullable<Expected> {
  const [start, length] = [meaning(address), meaning(size)];
  if (start === undefined || length === undefined || length === 0) return 'ERR_INVALID_ARGUMENT';
  if (start + length > END) return 'ERR_OUT_OF_RANGE';
  if (inHeap && (start < HEAP || start + length > HEAP + HEAP_BYTES)) return 'ERR_OUT_OF_RANGE';
  return [start, start + length];
}
