/**
 * Random calls to Heap: several forms and platforms, with shadow and without.
 *
 * The model: which blocks are allocated, and what each begins and ends with.
 */
import { Heap } from '../../../lib/heap/heap.js';
import type { HeapOptions } from '../../../lib/heap/mallocinit.js';
import { shadowHooks } from '../../../lib/heap/shadow-hooks.js';
import { POLICIES } from '../../../lib/shadow/policies.js';
import { Shadow } from '../../../lib/shadow/shadow.js';
import type { Actor, World } from './actor.js';
import { anything, noNumber } from './arguments.js';
import { insist } from './calls.js';

const MiB = 2 ** 20;
const MOST_HEAPS = 3;
const MOST_BLOCKS = 400;
/** Bytes at each end of a block that hold its mark. */
const MARKED_BYTES = 8;

interface Block {
  readonly size: number;
  readonly mark: number;
  view: Uint8Array | undefined;
}

interface Subject {
  readonly heap: Heap;
  readonly shadow: Shadow | undefined;
  readonly place: number;
  readonly blocks: Map<number, Block>;
}

export class HeapActor implements Actor {
  readonly #world: World;
  #subjects: Subject[] = [];
  #released: Heap[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  step(): void {
    const { random } = this.#world;
    if (this.#subjects.length === 0) return this.#make();
    random.weighted<() => void>([
      [0.2, () => this.#make()],
      [0.1, () => this.#makeWrongly()],
      [0.1, () => this.#release()],
      [1, () => this.#useReleased()],
      [40, () => this.#malloc()],
      [35, () => this.#free()],
      [10, () => this.#bytes()],
      [10, () => this.#lookup()],
      [0.5, () => this.#scavenge()],
      [2, () => this.#other()],
    ])();
  }

  verify(): void {
    for (const { heap, shadow, blocks } of this.#subjects) {
      const report = heap.verify();
      insist(report.objects === blocks.size, () => `${report.objects} objects, not ${blocks.size}`);
      insist(
        report.committedBytes === report.osCommittedBytes,
        () => 'the system counts other memory of a heap',
      );
      let end = 0;
      for (const [address, block] of [...blocks].sort(([a], [b]) => a - b)) {
        insist(address >= end, () => `blocks overlap at 0x${address.toString(16)}`);
        end = address + block.size;
        this.#verifyBlock(heap, address, block);
        if (shadow) insist(shadow.isMapped(address, block.size), () => 'a block has no shadow');
      }
      if (shadow === undefined) continue;
      const { committedBytes, osCommittedBytes } = shadow.stats();
      if (shadow.policy === 'lazy' || shadow.policy === 'touch') {
        insist(committedBytes === osCommittedBytes, () => 'the system counts other shadow');
      }
    }
  }

  end(): void {
    for (const { heap, shadow } of this.#subjects) {
      heap.release();
      shadow?.release();
    }
    this.#subjects = [];
  }

  #make(): void {
    const { random, calls, thread } = this.#world;
    if (this.#subjects.length >= MOST_HEAPS) return this.#release();
    const place = random.pick([0, 1, 2, 3].filter((i) => this.#subjects.every((each) => each.place !== i)));
    // Where layouts have shadow: 32 GiB for each thread, 8 GiB for each place.
    const address = 0xc0_0000_0000 + thread * 2 ** 35 + place * 2 ** 33;
    const shadow = random.percent(50) ? this.#shadowFor(place) : undefined;
    const isSmall = random.percent(20);
    const options: HeapOptions = {
      scavenger: false,
      hint: address,
      window32: address,
      maxMemBytes: 256 * MiB,
      form: isSmall ? '32-bit' : '64-bit',
      pageShift: random.pick([12, 13]),
      platform: random.pick(['linux', 'darwin', 'win32']),
      procs: random.pick([1, 4]),
      ...(shadow && { race: shadowHooks(shadow), releaseShadow: random.percent(50) }),
    };
    const heap = calls.exactly('new Heap', [address], undefined, () => new Heap(options));
    if (heap !== undefined) this.#subjects.push({ heap, shadow, place, blocks: new Map() });
  }

  #shadowFor(place: number): Shadow {
    const { random, calls, thread } = this.#world;
    // Past what AddressSanitizer's allocator has for itself.
    const start = 0x6400_0000_0000 + (thread * 4 + place) * 2 ** 40;
    const application = 0xc0_0000_0000;
    const layout = {
      name: `heap ${place}`,
      application: [{ name: 'heap', start: application, end: application + 2 ** 37 }],
      shadow: { base: start - 2 * application, multiplier: 2 },
      metainfo: null,
    };
    const policy = random.pick(POLICIES);
    const shadow = calls.exactly('new Shadow', [policy], undefined, () => new Shadow({ layout, policy }));
    if (shadow === undefined) throw new Error('exactly gives what it made');
    return shadow;
  }

  #makeWrongly(): void {
    const { random, calls, thread } = this.#world;
    // A place of this thread's, which no other builds on: places for shadow begin at 0x4800_0000_0000 (shadows.ts).
    const hint = 0x4600_0000_0000 + thread * 2 ** 36;
    const keys = [
      'pageShift',
      'form',
      'hint',
      'maxMemBytes',
      'window32',
      'procs',
      'platform',
      'dataSegment',
      'race',
    ];
    const options = random.percent(20)
      ? anything(random)
      : { scavenger: false, maxMemBytes: MiB, hint, [random.pick(keys)]: anything(random) };
    const made = calls.loosely('new Heap', [options], () => new Heap(options as HeapOptions));
    made?.release();
  }

  #release(): void {
    const { random, calls } = this.#world;
    const [subject] = this.#subjects.splice(random.below(this.#subjects.length), 1);
    if (subject === undefined) return;
    const { heap, shadow, blocks } = subject;
    calls.exactly('release', [], undefined, () => heap.release());
    for (const { view } of blocks.values()) insist(!view?.length, () => 'a view outlived its heap');
    if (shadow?.policy === 'lazy')
      insist(shadow.stats().committedBytes === 0, () => 'shadow outlived its heap');
    shadow?.release();
    this.#released.push(heap);
    if (this.#released.length > 3) this.#released.shift();
  }

  #useReleased(): void {
    const { random, calls } = this.#world;
    if (this.#released.length === 0) return;
    const heap = random.pick(this.#released);
    const verb = random.pick(['malloc', 'free', 'mlookup'] as const);
    const address = random.pick([heap.arenaStart, 100]);
    calls.exactly(verb, [address], 'ERR_RELEASED', () => heap[verb](address));
    calls.exactly('release', [], undefined, () => heap.release());
  }

  #malloc(): void {
    const { random, calls } = this.#world;
    const { heap, blocks } = random.pick(this.#subjects);
    if (blocks.size >= MOST_BLOCKS) return this.#free();
    const size = random.weighted<() => unknown>([
      [80, () => random.size(40_000)],
      [10, () => random.size(2 ** 21)],
      [3, () => BigInt(random.size(40_000))],
      [4, () => noNumber(random)],
      [3, () => random.pick([0, 2 ** 40, 2 ** 52, 2 ** 28])],
    ])();
    const flags = random.percent(80) ? 0 : random.pick([1, 8, 9, 2, -1, 2 ** 31]);
    const zeroed = (flags & 8) === 0;
    const address = calls.loosely('mallocgc', [size, flags], () =>
      flags === 0 ? heap.malloc(size as number) : heap.mallocgc(size as number, flags),
    );
    if (address === undefined) return;
    const length = Number(size) || 1;
    insist(!blocks.has(address), () => `0x${address.toString(16)} is allocated twice`);
    const bytes = heap.bytes(address, Math.min(length, 2 ** 16));
    if (zeroed)
      insist(
        bytes.every((byte) => byte === 0),
        () => `a new block of ${length} bytes is not zero`,
      );
    const block = { size: length, mark: random.below(256), view: undefined };
    this.#mark(heap, address, block);
    blocks.set(address, block);
  }

  #free(): void {
    const { random, calls } = this.#world;
    const { heap, blocks } = random.pick(this.#subjects);
    if (random.percent(10)) {
      const wrong = random.percent(50) ? anything(random) : heap.arenaStart + random.below(2 ** 22);
      if (wrong === 0 || blocks.has(Number(typeof wrong === 'symbol' ? 0 : wrong))) return;
      const code = calls.loosely('free', [wrong], () => {
        heap.free(wrong as number);
        return 'freed';
      });
      insist(code === undefined, () => `free took ${String(wrong)}, which was not allocated`);
      return;
    }
    if (blocks.size === 0) return;
    const address = random.pick([...blocks.keys()]);
    const block = blocks.get(address);
    if (block === undefined) return;
    this.#verifyBlock(heap, address, block);
    calls.exactly('free', [address], undefined, () => heap.free(address));
    if (block.view) insist(block.view.length === 0, () => 'a view outlived its block');
    blocks.delete(address);
    calls.exactly('free', [address], 'ERR_NOT_ALLOCATED', () => heap.free(address));
  }

  #bytes(): void {
    const { random, calls } = this.#world;
    const { heap, blocks } = random.pick(this.#subjects);
    if (blocks.size === 0) return;
    const address = random.pick([...blocks.keys()]);
    const block = blocks.get(address);
    if (block === undefined) return;
    const [from, size] = random.percent(80)
      ? [address, Math.max(1, random.below(block.size))]
      : [random.pick([address, heap.arenaStart + random.below(MiB), anything(random)]), anything(random)];
    const view = calls.loosely('bytes', [from, size], () => heap.bytes(from as number, size as number));
    if (view !== undefined && from === address) block.view = view;
  }

  #lookup(): void {
    const { random, calls } = this.#world;
    const { heap, blocks } = random.pick(this.#subjects);
    const address = random.percent(70)
      ? heap.arenaStart + random.below(heap.arenaUsed - heap.arenaStart)
      : anything(random);
    const found = calls.loosely('mlookup', [address], () => heap.mlookup(address as number));
    if (!found) return;
    const known = blocks.has(found.base);
    insist(
      found.allocated === known,
      () => `mlookup says that 0x${found.base.toString(16)} is allocated: ${!known}`,
    );
  }

  #scavenge(): void {
    const { random, calls } = this.#world;
    const { heap } = random.pick(this.#subjects);
    calls.exactly('scavenge', [], undefined, () => heap.scavenge());
  }

  #other(): void {
    const { random, calls } = this.#world;
    const { heap } = random.pick(this.#subjects);
    const proc = random.percent(70) ? random.below(heap.procs) : anything(random);
    calls.loosely('proc', [proc], () => {
      heap.proc = proc as number;
    });
    calls.exactly('memStats', [], undefined, () => heap.memStats().HeapSys);
    if (random.percent(10)) calls.exactly('flushCaches', [], undefined, () => heap.flushCaches());
  }

  #ends(heap: Heap, address: number, { size }: Block): Uint8Array[] {
    const length = Math.min(size, MARKED_BYTES);
    return [heap.bytes(address, length), heap.bytes(address + size - length, length)];
  }

  #mark(heap: Heap, address: number, block: Block): void {
    for (const bytes of this.#ends(heap, address, block)) bytes.fill(block.mark);
  }

  #verifyBlock(heap: Heap, address: number, block: Block): void {
    for (const bytes of this.#ends(heap, address, block)) {
      insist(
        bytes.every((byte) => byte === block.mark),
        () => `the block at 0x${address.toString(16)} holds something else`,
      );
    }
  }
}
