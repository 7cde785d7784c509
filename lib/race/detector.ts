/**
 * The detector: what each call of the race runtime does to cells, clocks and sync objects.
 *
 * What each thing does by itself is in files of its own: accesses in access.ts and record.ts, the happens-before
 * order in order.ts, Malloc's clearing in clearing.ts.
 */
import { LazyShadowError } from '../native/errors.js';
import { TableSpace } from '../native/table.js';
import type { ShadowGeometry, ShadowMemory } from '../shadow/segment.js';
import { type Accesses, ATOMIC_READ, ATOMIC_WRITE, createAccesses } from './access.js';
import { type Allocations, createAllocations } from './allocations.js';
import { createDepths, createForgotten, createNumbers, type Numbers } from './bare.js';
import { type Clear, createClearing } from './clearing.js';
import { type Clocks, createClocks } from './clock.js';
import { type GoroutineInfo, Goroutines, POSITION, STACK, STATE_SHIFT } from './goroutine.js';
import { createAtHand, createHistory, type History } from './history.js';
import { Leaks } from './leak.js';
import { Midway } from './midway.js';
import { createOrder, type Order } from './order.js';
import { createRecording, type OnSighting } from './record.js';
import { createSpill, type Spill } from './spill.js';
import { createStacks, EMPTY_STACK, type MarkRoots, type Stacks } from './stack.js';
import { createSyncObjects, type SyncObjects } from './sync.js';
import { UnchartedWindows } from './uncharted.js';
import { type AddressRange, Windows } from './window.js';

/** What a detector looks at, and who hears of it. */
export interface Program {
  /** Fresh shadow, of the detector's geometry. */
  readonly shadow: ShadowMemory;
  /** Entries of each goroutine's history: a power of two. */
  readonly historyEntries: number;
  readonly onSighting: OnSighting;
  /** Marks the stacks that whoever gets the sightings still refers to. */
  readonly markStacks?: MarkRoots;
}

/** What a detector is for, if not for a program from its beginning, with reports. */
export interface DetectorForm {
  /**
   * Whether it keeps stacks, so that it can tell of a race what it was. If not it takes the number of an access's event for its
   * pc, and tells that: whoever has the recording can look the rest up (bare.ts).
   */
  readonly keepsStacks: boolean;
  /** The memory that the layout has shadow for, if it begins in the middle of a program (midway.ts). */
  readonly midwayIn?: readonly AddressRange[] | undefined;
}

/**
 * The detectors that nobody uses: one that keeps stacks, one that does not. V8 has compiled the code of each for its tables, and
 * to make another one costs a collection of garbage; so one serves one program after another, and a second one of its
 * form is made when two run at once.
 */
const spares = new Map<boolean, Detector>();

export class Detector {
  /**
   * A detector at the beginning of a program. Whoever gets it may give it back when the program is over.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY
   */
  static take(program: Program, keepsStacks = true): Detector {
    const { wordsPerGranule, pageShift } = program.shadow;
    const spare = spares.get(keepsStacks);
    spares.delete(keepsStacks);
    const fits = spare?.wordsPerGranule === wordsPerGranule && spare.pageShift === pageShift;
    const detector = spare !== undefined && fits ? spare : new Detector(program.shadow, { keepsStacks });
    detector.begin(program);
    return detector;
  }

  /** The program is over, and the detector another one's from now on. What it knew is no more. */
  static giveBack(detector: Detector): void {
    detector.end();
    spares.set(detector.numbers === undefined, detector);
  }

  readonly wordsPerGranule: number;
  readonly pageShift: number;
  readonly clocks: Clocks;
  readonly goroutines: Goroutines;
  /** The pc of the access at hand, or the number of the event at hand, for a detector that keeps no stacks. */
  readonly atHand = createAtHand();
  readonly history: History;
  /** The history, if it is numbers of events. */
  readonly numbers: Numbers | undefined;
  readonly stacks: Stacks;
  readonly windows: Windows;
  readonly spill: Spill;
  readonly objects: SyncObjects;
  readonly allocations: Allocations;
  /** Reads and writes: for callers to use directly, because it is most of what happens. */
  readonly accesses: Accesses;
  /** As `accesses`: acquires and releases by the goroutine that has a slot. */
  readonly order: Order;
  /** What it does not know, if it began in the middle of a program. */
  readonly midway: Midway | undefined;
  readonly leaks = new Leaks();
  readonly #clear: Clear;
  #program: Program | undefined;

  /**
   * A detector that looks at nothing yet: {@link begin} gives it a program.
   * @param geometry that of every shadow that it will have
   * @throws LazyShadowError ERR_OUT_OF_MEMORY
   */
  constructor(
    { wordsPerGranule, pageShift }: ShadowGeometry,
    { keepsStacks, midwayIn }: DetectorForm = { keepsStacks: true },
  ) {
    const geometry = { wordsPerGranule, pageShift };
    this.wordsPerGranule = wordsPerGranule;
    this.pageShift = pageShift;
    const space = new TableSpace();
    this.clocks = createClocks(space);
    this.goroutines = new Goroutines(space, this.clocks);
    this.windows = midwayIn === undefined ? new Windows() : new UnchartedWindows(midwayIn);
    const { clocks, goroutines, windows } = this;
    const { state } = goroutines;
    const { atHand } = this;
    this.allocations = keepsStacks ? createAllocations(space) : createForgotten();
    const { allocations } = this;
    this.numbers = keepsStacks ? undefined : createNumbers(space, state, atHand);
    this.history = this.numbers ?? createHistory(space, state, atHand);
    this.stacks = keepsStacks
      ? createStacks(space, (mark) => {
          goroutines.markStacks(mark);
          this.history.markStacks(mark);
          allocations.markStacks(mark);
          this.#program?.markStacks?.(mark);
        })
      : createDepths();
    this.spill = createSpill(space, windows, geometry);
    const { spill } = this;
    const assume = (goroutine: number) => this.order.assume(goroutine);
    this.midway =
      midwayIn === undefined ? undefined : new Midway({ wordsPerGranule, clocks, goroutines, spill, assume });
    const objects = createSyncObjects(space, windows, clocks, geometry);
    this.objects = this.midway?.wrapObjects(objects) ?? objects;
    this.order = createOrder(this.clocks, goroutines, this.objects, this.history, this.leaks);
    const recording = createRecording({
      wordsPerGranule,
      windows,
      state,
      atHand,
      clocks: this.clocks,
      history: this.history,
      leaks: this.leaks,
      spill: this.spill,
      onSighting: (sighting) => this.#program?.onSighting(sighting),
      onAccess: this.midway?.keeper(),
    });
    this.accesses = createAccesses(geometry, windows, state, atHand, this.stacks, recording);
    const clear = createClearing(windows, this.spill, geometry);
    this.#clear = this.midway?.wrapClear(clear) ?? clear;
  }

  /** A program begins, of which nothing has happened: the first one, or the first since {@link end}. */
  begin(program: Program): void {
    this.windows.reset(program.shadow);
    this.history.keep(program.historyEntries);
    this.#program = program;
  }

  /** The program is over. What was known of it is no more. */
  end(): void {
    this.#program = undefined;
    this.windows.reset(undefined);
    this.goroutines.reset();
    this.clocks.reset();
    this.history.reset();
    this.stacks.reset();
    this.spill.reset();
    this.objects.reset();
    this.allocations.reset();
    this.leaks.reset();
    this.accesses.leaveWindow();
  }

  // ---- goroutines -------------------------------------------------------------------------------------------

  /** The main goroutine starts. */
  initialize(goroutine: number): void {
    this.midway?.refuse('Initialize');
    if (this.goroutines.main !== 0) {
      throw new LazyShadowError('ERR_INVALID_USE', 'the race runtime is initialized already');
    }
    this.order.start(0, goroutine, EMPTY_STACK);
    this.goroutines.main = goroutine;
  }

  goStart(parent: number, goroutine: number, pcLow: number, pcHigh: number): void {
    this.goroutines.checkStart(goroutine);
    const below = parent === 0 ? EMPTY_STACK : this.#stack(this.goroutines.slotOf(parent));
    const hasPc = pcLow !== 0 || pcHigh !== 0;
    this.order.start(parent, goroutine, hasPc ? this.stacks.push(below, pcLow, pcHigh) : below);
  }

  goEnd(goroutine: number): void {
    this.order.end(goroutine);
  }

  funcEnter(goroutine: number, pcLow: number, pcHigh: number): void {
    const at = this.goroutines.slotOf(goroutine) << STATE_SHIFT;
    const state = this.goroutines.state;
    state[at + STACK] = this.stacks.push(state[at + STACK] as number, pcLow, pcHigh);
  }

  funcExit(goroutine: number): void {
    const at = this.goroutines.slotOf(goroutine) << STATE_SHIFT;
    const state = this.goroutines.state;
    const stack = state[at + STACK] as number;
    if (stack === EMPTY_STACK) throw new LazyShadowError('ERR_INVALID_USE', 'FuncExit without FuncEnter');
    state[at + STACK] = this.stacks.parent(stack);
  }

  /** The goroutine that a slot belongs to now. */
  runningOn(slot: number): GoroutineInfo {
    return this.goroutines.at(slot, this.goroutines.state[(slot << STATE_SHIFT) + POSITION] as number);
  }

  // ---- synchronisation --------------------------------------------------------------------------------------

  acquire(goroutine: number, low: number, high: number): void {
    this.order.acquire(this.goroutines.slotOf(goroutine), low, high);
  }

  release(goroutine: number, low: number, high: number): void {
    this.order.releaseStore(this.goroutines.slotOf(goroutine), low, high);
  }

  releaseMerge(goroutine: number, low: number, high: number): void {
    this.order.releaseMerge(this.goroutines.slotOf(goroutine), low, high);
  }

  releaseAcquire(goroutine: number, low: number, high: number): void {
    this.order.releaseAcquire(this.goroutines.slotOf(goroutine), low, high);
  }

  finalizerGoroutine(goroutine: number): void {
    this.midway?.refuse('FinalizerGoroutine');
    this.order.finalizer(this.goroutines.slotOf(goroutine));
  }

  ignoreSyncBegin(goroutine: number): void {
    this.order.ignoreBegin(this.goroutines.slotOf(goroutine));
  }

  ignoreSyncEnd(goroutine: number): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.midway?.endsIgnoring(goroutine, slot) !== true) this.order.ignoreEnd(slot);
  }

  // ---- atomics: accesses too, in Go's order; nothing at all while synchronisation is ignored ------------------

  atomicLoad(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.order.ignores(slot)) return;
    this.order.acquire(slot, low, high);
    this.accesses.called(slot, ATOMIC_READ, low, high, size, pcLow, pcHigh, caller);
  }

  atomicStore(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.order.ignores(slot)) return;
    this.accesses.called(slot, ATOMIC_WRITE, low, high, size, pcLow, pcHigh, caller);
    this.order.releaseStore(slot, low, high);
  }

  /** Exchange, add and a compare-and-swap that succeeded. */
  atomicUpdate(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.order.ignores(slot)) return;
    this.accesses.called(slot, ATOMIC_WRITE, low, high, size, pcLow, pcHigh, caller);
    this.order.acquireRelease(slot, low, high);
  }

  /** A compare-and-swap that failed: checked as a write, and an acquire. */
  atomicFailedSwap(
    goroutine: number,
    low: number,
    high: number,
    size: number,
    pcLow: number,
    pcHigh: number,
    caller: number,
  ): void {
    const slot = this.goroutines.slotOf(goroutine);
    if (this.order.ignores(slot)) return;
    this.accesses.called(slot, ATOMIC_WRITE, low, high, size, pcLow, pcHigh, caller);
    this.order.acquire(slot, low, high);
  }

  // ---- memory -----------------------------------------------------------------------------------------------

  /** [address, address + sizeBytes), all below 2^48, is memory that will be accessed. */
  mapShadow(address: number, sizeBytes: number): void {
    if (sizeBytes === 0) return;
    this.windows.map(address, sizeBytes);
    this.objects.adopt();
    this.accesses.leaveWindow();
  }

  /** Forgets [address, address + sizeBytes), whose shadow is about to be unmapped. */
  unmapShadow(address: number, sizeBytes: number): void {
    this.objects.drop(address | 0, Math.floor(address / 2 ** 32), sizeBytes);
    this.windows.unmap(address, sizeBytes);
    this.accesses.leaveWindow();
  }

  /**
   * Earlier accesses to the bytes [address, address + sizeBytes), which are all below 2^48, no longer race.
   * @param goroutine who allocates, 0 if that is not known
   */
  malloc(low: number, high: number, sizeBytes: number, goroutine: number): void {
    if (sizeBytes === 0) return;
    const slot = this.goroutines.find(goroutine);
    if (slot >= 0) this.allocations.add(low, high, sizeBytes, goroutine, this.#stack(slot));
    else this.allocations.add(low, high, sizeBytes, 0, EMPTY_STACK);
    this.#clear(low, high, sizeBytes);
  }

  /** The sync objects of the bytes [address, address + sizeBytes), which are all below 2^48, are forgotten. */
  free(low: number, high: number, sizeBytes: number): void {
    this.objects.drop(low, high, sizeBytes);
  }

  /** The goroutine's current stack. */
  #stack(slot: number): number {
    return this.goroutines.state[(slot << STATE_SHIFT) + STACK] as number;
  }
}
