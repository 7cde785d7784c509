/**
 * Every public operation that asks the operating system for something, each on a subject that is the same every time:
 * what the tests of injected failures run.
 *
 * Invariant: `state` gives equal values for equal states, wherever the subject's memory happens to lie.
 */
import { CellWriter } from '../../lib/measure/cell-writer.js';
import { diagnose } from '../../lib/measure/diagnosis.js';
import { Heap } from '../../lib/heap/heap.js';
import type { HeapOptions } from '../../lib/heap/mallocinit.js';
import { shadowHooks } from '../../lib/heap/shadow-hooks.js';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry, processMemory, systemMemory } from '../../lib/native/system.js';
import { Race } from '../../lib/race/package-race.js';
import { POLICIES, type Policy } from '../../lib/shadow/policies.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { readCell } from '../support/cells.js';
import { linux, mappings, type RangeUsage, usageOf } from '../support/proc.js';

const PAGE = geometry().pageSizeBytes;
const UNIT = geometry().allocationGranularityBytes;
const HEAP = 0xc0_0000_0000;
const MiB = 2 ** 20;

/** Something to operate on, made anew for each failure. */
export interface Subject {
  /** The operation; again, if it failed. */
  run(): unknown;
  /** All that can be seen of the subject, from itself and from the system. */
  state(): unknown;
  /** What a failure must leave as it was, where that is less than all. */
  kept?(): unknown;
  /** Some other change, before which the system is offered again what it would not take back. */
  change(): void;
  end(): void;
}

export interface Operation {
  readonly name: string;
  readonly make: () => Subject;
}

/** What the kernel itself says; nothing where there is no /proc. */
function usage(address: number, sizeBytes: number): unknown {
  if (!linux) return undefined;
  const { mappedBytes, writableBytes, chargedBytes } = usageOf(address, sizeBytes);
  return { mappedBytes, writableBytes, chargedBytes };
}

function reserveSomething(): void {
  Reservation.reserve(UNIT).release();
}

// ---- reservations -------------------------------------------------------------------------------------------------

const PAGES = 32;

/** Two committed pieces with contents of their own, and a view of the first. */
function someReservation() {
  const reservation = Reservation.reserve(PAGES * PAGE);
  const { address, sizeBytes } = reservation;
  const at = (page: number) => address + page * PAGE;
  reservation.commit(at(4), 4 * PAGE);
  reservation.bytes(at(4), 4 * PAGE).fill(1);
  reservation.commit(at(12), 2 * PAGE);
  reservation.bytes(at(12), 2 * PAGE).fill(2);
  const view = reservation.bytes(at(5), 2);
  const state = () =>
    reservation.released
      ? { released: true, view: view.length, usage: usage(address, sizeBytes) }
      : {
          ranges: reservation
            .committedRanges()
            .map((range) => ({ ...range, address: range.address - address })),
          first: reservation
            .committedRanges()
            .map((range) => [...reservation.bytes(range.address, range.sizeBytes)].reduce((a, b) => a + b)),
          view: Array.from({ length: view.length }, (_, i) => view[i]),
          committedBytes: reservation.stats().committedBytes,
          osCommittedBytes: reservation.stats().osCommittedBytes,
          usage: usage(address, sizeBytes),
        };
  return { reservation, at, view, state, change: reserveSomething, end: () => reservation.release() };
}

type SomeReservation = ReturnType<typeof someReservation>;

function onReservation(name: string, run: (subject: SomeReservation) => unknown): Operation {
  const make = () => {
    const subject = someReservation();
    return { ...subject, run: () => run(subject) };
  };
  return { name: `Reservation: ${name}`, make };
}

/** Where nothing is mapped, for reservations that want an address. */
const FREE_ADDRESS = 0x4400_0000_0000;

function reserving(name: string, options: { exact?: boolean } | undefined): Operation {
  const make = () => {
    let made: Reservation | undefined;
    return {
      run: () => {
        made = Reservation.reserve(4 * UNIT, options && { ...options, address: FREE_ADDRESS });
      },
      state: () => [made?.sizeBytes, usage(FREE_ADDRESS, 4 * UNIT)],
      change: reserveSomething,
      end: () => made?.release(),
    };
  };
  return { name: `Reservation: reserve ${name}`, make };
}

const RESERVATION_OPERATIONS: Operation[] = [
  reserving('anywhere', undefined),
  reserving('at a preferred address', { exact: false }),
  reserving('at an exact address', { exact: true }),
  onReservation('attach', ({ reservation }) => Reservation.attach(reservation.address).release()),
  onReservation('commit one page', ({ reservation, at }) => reservation.commit(at(20), PAGE)),
  onReservation('commit what follows', ({ reservation, at }) => reservation.commit(at(14), PAGE)),
  onReservation('commit three gaps', ({ reservation, at }) => reservation.commit(at(0), PAGES * PAGE)),
  onReservation('decommit from one piece to the other', ({ reservation, at }) =>
    reservation.decommit(at(5), 8 * PAGE),
  ),
  onReservation('purge', ({ reservation, at }) => {
    reservation.purge(at(5), 8 * PAGE);
  }),
  onReservation('bytes', ({ reservation, at }) => reservation.bytes(at(6), PAGE)),
  onReservation('stats', ({ reservation }) => reservation.stats()),
  onReservation('release', ({ reservation }) => {
    reservation.release();
  }),
];

// ---- shadows ------------------------------------------------------------------------------------------------------

const SHADOW_HEAP_BYTES = 256 * MiB;
/** Application ranges that the subject has mapped, and accessed in every granule. */
const MAPPED = [
  [0x1003, 0x800],
  [0x9000, 0x6000],
] as const;

/** What the shadow counts and the kernel, without what islands that were merged take: it may be more than was asked. */
function countsOf(shadow: Shadow): unknown {
  const { mappedBytes, reservedBytes, committedBytes, osCommittedBytes, mergedBytes } = shadow.stats();
  return {
    mappedBytes,
    reservedBytes,
    committedBytes: committedBytes - mergedBytes,
    osCommittedBytes: osCommittedBytes - mergedBytes,
    ...kernelCounts(shadow, mergedBytes),
  };
}

/** What the kernel says of all spans together. */
function kernelCounts({ spans, policy }: Pick<Shadow, 'spans' | 'policy'>, mergedBytes = 0): object {
  if (!linux) return {};
  const all = mappings();
  const usages = spans.map(({ address, sizeBytes }) => usageOf(address, sizeBytes, all));
  const sum = (of: (usage: RangeUsage) => number) => usages.reduce((total, usage) => total + of(usage), 0);
  const counts = {
    writable: sum((usage) => usage.writableBytes) - mergedBytes,
    charged: sum((usage) => usage.chargedBytes) - (policy === 'unreserved' ? 0 : mergedBytes),
  };
  // Neighbours of the spans are of another colour only where the policy reserves.
  return policy === 'unreserved' ? counts : { ...counts, mapped: sum((usage) => usage.mappedBytes) };
}

function changeShadow(shadow: Shadow): void {
  reserveSomething();
  // Under `unreserved` what was mapped stays.
  if (shadow.released || shadow.policy === 'unreserved') return;
  shadow.mapShadow(HEAP + SHADOW_HEAP_BYTES - MiB, MiB);
  shadow.unmapShadow(HEAP + SHADOW_HEAP_BYTES - MiB, MiB);
}

/** Two mapped ranges with cells. */
function someShadow(policy: Policy) {
  const shadow = new Shadow({ policy, heapBytes: SHADOW_HEAP_BYTES });
  const memory = windowsOf(shadow);
  const cells = new CellWriter(memory);
  for (const [offset, sizeBytes] of MAPPED) {
    shadow.mapShadow(HEAP + offset, sizeBytes);
    cells.access(HEAP + offset, sizeBytes);
  }
  const state = () => {
    if (shadow.released) return kernelCounts(shadow);
    const counts = countsOf(shadow);
    const live: number[] = [];
    for (let offset = 0; offset < 0x20000; offset += 256) {
      if (readCell(memory, 'shadow', HEAP + offset) !== 0) live.push(offset);
    }
    return { counts, live, mapped: shadow.mappedBytes(HEAP, 0x20000) };
  };
  return { shadow, memory, cells, state, change: () => changeShadow(shadow), end: () => shadow.release() };
}

type SomeShadow = ReturnType<typeof someShadow>;

function onShadow(policy: Policy, name: string, run: (subject: SomeShadow) => unknown): Operation {
  const make = () => {
    const subject = someShadow(policy);
    return { ...subject, run: () => run(subject) };
  };
  return { name: `Shadow under ${policy}: ${name}`, make };
}

function makingShadow(policy: Policy): Operation {
  const make = () => {
    const options = { policy, heapBytes: SHADOW_HEAP_BYTES };
    const probe = new Shadow(options);
    const { spans } = probe;
    probe.release();
    let made: Shadow | undefined;
    return {
      run: () => {
        made = new Shadow(options);
      },
      state: () => [
        made?.moved,
        ...spans.map(({ wantedAddress, sizeBytes }) => usage(wantedAddress, sizeBytes)),
      ],
      change: reserveSomething,
      end: () => made?.release(),
    };
  };
  return { name: `Shadow under ${policy}: new`, make };
}

const SHADOW_OPERATIONS: Operation[] = POLICIES.flatMap((policy) => [
  makingShadow(policy),
  onShadow(policy, 'attach', ({ shadow }) => Shadow.attach(shadow.id).release()),
  onShadow(policy, 'mapShadow apart', ({ shadow }) => {
    shadow.mapShadow(HEAP + MiB, 5000);
  }),
  onShadow(policy, 'mapShadow of gaps', ({ shadow }) => {
    shadow.mapShadow(HEAP, 0x20000);
  }),
  onShadow(policy, 'unmapShadow of parts', ({ shadow }) => {
    shadow.unmapShadow(HEAP + 0x1403, 0x9001);
  }),
  onShadow(policy, 'unmapShadow of all', ({ shadow }) => {
    shadow.unmapShadow(HEAP, 0x20000);
  }),
  onShadow(policy, 'stats', ({ shadow }) => shadow.stats()),
  onShadow(policy, 'clearShadow', ({ memory }) => {
    memory.clearShadow(HEAP + 0x9008, 0x5000);
  }),
  onShadow(policy, 'release', ({ shadow }) => {
    shadow.release();
  }),
]);

// ---- races --------------------------------------------------------------------------------------------------------

/** Two goroutines, unordered. */
function someRace(policy: Policy) {
  const shadow = new Shadow({ policy, heapBytes: SHADOW_HEAP_BYTES });
  const race = new Race({ shadow });
  race.initialize(1);
  race.mapShadow(HEAP, 0x20000);
  race.goStart(1, 2, 0x400);
  race.write(1, HEAP, 0x401);
  race.release(1, HEAP + 0x100);
  const state = () => {
    return { counts: countsOf(shadow), racy: race.racyAddresses(), reports: race.reportCount };
  };
  /** An access that needs two pages may have left its cell when the second is refused; the same call again goes on. */
  const kept = () => [shadow.stats().mappedBytes, race.racyAddresses(), race.reportCount];
  return { shadow, race, state, kept, change: () => changeShadow(shadow), end: () => shadow.release() };
}

type SomeRace = ReturnType<typeof someRace>;

function onRace(policy: Policy, name: string, run: (subject: SomeRace) => unknown): Operation {
  const make = () => {
    const subject = someRace(policy);
    return { ...subject, run: () => run(subject) };
  };
  return { name: `Race over ${policy}: ${name}`, make };
}

const RACE_OPERATIONS: Operation[] = (['lazy', 'touch'] as const).flatMap((policy) => [
  onRace(policy, 'mapShadow', ({ race }) => {
    race.mapShadow(HEAP + MiB, 65536);
  }),
  onRace(policy, 'unmapShadow', ({ race }) => {
    race.unmapShadow(HEAP, 0x8000);
  }),
  onRace(policy, 'write to a new page', ({ race }) => {
    race.write(2, HEAP + 0x3000, 0x402);
  }),
  onRace(policy, 'a read that races', ({ race }) => {
    race.read(2, HEAP, 0x402);
  }),
  onRace(policy, 'release to a new page of metainfo', ({ race }) => {
    race.release(2, HEAP + 0x10000);
  }),
  onRace(policy, 'an atomic', ({ race }) => {
    race.atomic(2, 'update', HEAP + 0x10000, 8, 0x402, 0x403);
  }),
  onRace(policy, 'free', ({ race }) => {
    race.free(HEAP, 0x10000);
  }),
]);

// ---- heaps --------------------------------------------------------------------------------------------------------

const HEAP_HINT = 0x46c0_0000_0000;

/** With small and large blocks, and freed ones. `shadowed`: with the shadow of a detector. */
function someHeap(options: HeapOptions, shadowed: boolean) {
  const shadow = shadowed ? new Shadow({ policy: 'lazy' }) : undefined;
  const heap = new Heap({
    scavenger: false,
    hint: shadowed ? HEAP : HEAP_HINT,
    maxMemBytes: 64 * MiB,
    ...(shadow && { race: shadowHooks(shadow), releaseShadow: true }),
    ...options,
  });
  const blocks = [20, 300, 5000, 100_000, 700_000].map((size) => heap.malloc(size));
  heap.bytes(blocks[2] ?? 0, 5000).fill(7);
  for (const size of [20, 3000, 50_000]) heap.free(heap.malloc(size));
  const state = () => {
    if (heap.released) return { released: true, shadow: shadow?.stats().committedBytes };
    const { HeapAlloc, HeapInuse, HeapReleased, Mallocs, Frees } = heap.memStats();
    const { objects, spansInUse, committedBytes, osCommittedBytes } = heap.verify();
    return {
      HeapAlloc,
      HeapInuse,
      HeapReleased,
      Mallocs,
      Frees,
      objects,
      spansInUse,
      arenaBytes: heap.arenaUsed - heap.arenaStart,
      difference: committedBytes - osCommittedBytes,
      contents: [...heap.bytes(blocks[2] ?? 0, 5000)].reduce((a, b) => a + b),
      shadow: shadow && countsOf(shadow),
    };
  };
  /** What scavenging, of which a part may fail, must leave. */
  const kept = () => {
    const { HeapAlloc, Mallocs, Frees } = heap.memStats();
    return [HeapAlloc, Mallocs, Frees, heap.verify().objects, heap.arenaUsed - heap.arenaStart];
  };
  const end = () => {
    heap.release();
    shadow?.release();
  };
  const change = () => (shadow ? changeShadow(shadow) : reserveSomething());
  return { heap, blocks, state, kept, change, end };
}

type SomeHeap = ReturnType<typeof someHeap>;

function heapOperations(kind: string, options: HeapOptions, shadowed: boolean): Operation[] {
  const onHeap = (
    name: string,
    run: (subject: SomeHeap) => unknown,
    prepare: (subject: SomeHeap) => unknown = () => undefined,
  ): Operation => ({
    name: `Heap, ${kind}: ${name}`,
    make: () => {
      const { kept, ...subject } = someHeap(options, shadowed);
      prepare({ ...subject, kept });
      return { ...subject, ...(name === 'scavenge' && { kept }), run: () => run({ ...subject, kept }) };
    },
  });
  return [
    onHeap('malloc of a new size', ({ heap }) => heap.malloc(1000)),
    onHeap('malloc that makes it grow', ({ heap }) => heap.malloc(3 * MiB)),
    onHeap('free of a large block', ({ heap, blocks }) => heap.free(blocks[4] ?? 0)),
    onHeap('bytes', ({ heap, blocks }) => heap.bytes(blocks[1] ?? 0, 10)),
    onHeap('scavenge', ({ heap }) => heap.scavenge()),
    onHeap(
      'malloc of what was scavenged',
      ({ heap }) => heap.malloc(200_000),
      ({ heap }) => heap.scavenge(),
    ),
    onHeap('verify', ({ heap }) => heap.verify().objects),
    onHeap('release', ({ heap }) => {
      heap.release();
    }),
  ];
}

// ---- questions ----------------------------------------------------------------------------------------------------

function asking(name: string, run: () => unknown): Operation {
  return {
    name,
    make: () => ({ run, state: () => undefined, change: () => undefined, end: () => undefined }),
  };
}

export const OPERATIONS: readonly Operation[] = [
  ...RESERVATION_OPERATIONS,
  ...SHADOW_OPERATIONS,
  ...RACE_OPERATIONS,
  ...heapOperations('purging', { platform: 'linux' }, false),
  ...heapOperations('decommitting', { platform: 'win32' }, false),
  ...heapOperations('with shadow', { platform: 'linux' }, true),
  ...heapOperations('32-bit', { form: '32-bit', window32: HEAP_HINT }, false),
  asking('processMemory', () => processMemory().residentBytes),
  asking('systemMemory', () => systemMemory().physicalBytes),
  asking('diagnose', () => diagnose().length),
];
