/**
 * The happens-before order: what starts, releases and acquires do to the clocks.
 *
 * Invariant: a clock that knows slot s up to position p includes all that the goroutine that made p knew at its last
 * release up to p, because positions are learned from releases alone (a start is one) and FinalizerGoroutine takes over
 * everything at once. So an acquire of a release that is known already changes nothing, and is one look-up. It does not
 * include what an earlier goroutine of the slot released: a slot changes hands when that one's accesses are known, its
 * last releases need not be. So the look-up counts for releases of the slot's present turn alone.
 *
 * The same the other way round: a goroutine whose clock has not changed since it released at SETTLED learns nothing of its
 * own from a clock that knows it up to there, and takes that clock instead of joining the two. Whatever waits for an answer
 * does: of the joins of a pipeline (sieve) half.
 */
import { LazyShadowError } from '../native/errors.js';
import { type Clocks, EMPTY_CLOCK } from './clock.js';
import {
  ACCESSED,
  CLOCK,
  FLOOR,
  type Goroutines,
  IGNORE,
  LEAKED,
  POSITION,
  SETTLED,
  STATE_SHIFT,
  UNSETTLED,
} from './goroutine.js';
import type { History } from './history.js';
import type { Leaks } from './leak.js';
import { MERGED, SYNC_CLOCK, SYNC_POSITION, SYNC_SHIFT, SYNC_SLOT, type SyncObjects } from './sync.js';

export class Order {
  readonly #clocks: Clocks;
  readonly #goroutines: Goroutines;
  readonly #objects: SyncObjects;
  readonly #history: History;
  readonly #leaks: Leaks;

  constructor(clocks: Clocks, goroutines: Goroutines, objects: SyncObjects, history: History, leaks: Leaks) {
    this.#clocks = clocks;
    this.#goroutines = goroutines;
    this.#objects = objects;
    this.#history = history;
    this.#leaks = leaks;
  }

  /** Starts a goroutine; its clock is a copy of its parent's, or empty if `parent` is 0. */
  start(parent: number, goroutine: number, createdAt: number): void {
    const goroutines = this.#goroutines;
    goroutines.checkStart(goroutine);
    const parentSlot = parent === 0 ? -1 : goroutines.slotOf(parent);
    goroutines.makeRoom(goroutine);
    this.makeRoom();
    let clock = EMPTY_CLOCK;
    if (parentSlot >= 0) {
      const position = this.#advance(parentSlot);
      const known = goroutines.state[(parentSlot << STATE_SHIFT) + CLOCK] as number;
      clock = this.#clocks.set(this.#clocks.retain(known), parentSlot, position);
    }
    const slot = goroutines.start(goroutine, clock, createdAt);
    this.#clocks.cover(goroutines.slotCount);
    this.#history.begin(slot);
  }

  /** Ends a goroutine, and so its epoch. */
  end(goroutine: number): void {
    const slot = this.#goroutines.slotOf(goroutine);
    const position = this.#goroutines.state[(slot << STATE_SHIFT) + POSITION] as number;
    this.#leaks.close(slot, position + 1);
    this.#goroutines.end(goroutine);
    this.#history.retire(slot);
  }

  /** Makes sure that clocks have a component for one more slot. */
  makeRoom(): void {
    if (this.#goroutines.slotCount < this.#clocks.capacity()) return;
    this.#clocks.deepen();
    const { state, slotCount } = this.#goroutines;
    for (let slot = 0; slot < slotCount; slot++) {
      const at = (slot << STATE_SHIFT) + CLOCK;
      state[at] = this.#clocks.deepened(state[at] as number);
    }
    this.#objects.replaceClocks((clock) => this.#clocks.deepened(clock));
  }

  acquire(slot: number, low: number, high: number): void {
    if (this.#ignores(slot)) return;
    const object = this.#objects.find(low, high);
    if (object !== 0) this.#acquire(slot, object);
  }

  releaseStore(slot: number, low: number, high: number): void {
    if (this.#ignores(slot)) return;
    this.#store(slot, this.#objects.make(low, high));
  }

  releaseMerge(slot: number, low: number, high: number): void {
    if (this.#ignores(slot)) return;
    this.#merge(slot, this.#objects.make(low, high));
  }

  releaseAcquire(slot: number, low: number, high: number): void {
    if (this.#ignores(slot)) return;
    const object = this.#objects.make(low, high);
    const words = this.#objects.words;
    const at = object << SYNC_SHIFT;
    // The object's hold on its old clock passes to this call.
    const oldClock = words[at + SYNC_CLOCK] as number;
    const oldSlot = words[at + SYNC_SLOT] as number;
    const oldPosition = words[at + SYNC_POSITION] as number;
    words[at + SYNC_CLOCK] = EMPTY_CLOCK;
    this.#store(slot, object);
    this.#learn(slot, oldClock, oldSlot, oldPosition);
    this.#clocks.release(oldClock);
  }

  /** What an atomic read-modify-write does: an acquire, then a release of the joined clock. */
  acquireRelease(slot: number, low: number, high: number): void {
    if (this.#ignores(slot)) return;
    const object = this.#objects.make(low, high);
    this.#acquire(slot, object);
    // The goroutine's clock includes the object's now, so that merging into it is replacing it.
    this.#store(slot, object);
  }

  ignores(slot: number): boolean {
    return this.#ignores(slot);
  }

  ignoreBegin(slot: number): void {
    const state = this.#goroutines.state;
    const at = (slot << STATE_SHIFT) + IGNORE;
    state[at] = (state[at] as number) + 1;
  }

  ignoreEnd(slot: number): void {
    const state = this.#goroutines.state;
    const at = (slot << STATE_SHIFT) + IGNORE;
    const depth = state[at] as number;
    if (depth === 0) throw new LazyShadowError('ERR_INVALID_USE', 'IgnoreSyncEnd without IgnoreSyncBegin');
    state[at] = depth - 1;
  }

  /** The goroutine is ordered after all that every goroutine did so far, and to the end of its epoch (leak.ts). */
  finalizer(slot: number): void {
    const { state, slotCount } = this.#goroutines;
    const own = (slot << STATE_SHIFT) + CLOCK;
    let clock = state[own] as number;
    for (let other = 0; other < slotCount; other++) {
      if (other === slot) continue;
      const at = other << STATE_SHIFT;
      if (state[at + FLOOR] !== LEAKED && this.#goroutines.isTaken(other)) {
        // A position that nobody knows yet: what was released before it does not include the rest of the epoch.
        const position = this.#history.pass(other);
        state[at + FLOOR] = LEAKED;
        this.#leaks.open(other, position);
      }
      clock = this.#clocks.set(clock, other, state[at + POSITION] as number);
    }
    state[own] = clock;
    state[(slot << STATE_SHIFT) + SETTLED] = UNSETTLED;
  }

  #ignores(slot: number): boolean {
    return (this.#goroutines.state[(slot << STATE_SHIFT) + IGNORE] as number) > 0;
  }

  #acquire(slot: number, object: number): void {
    const words = this.#objects.words;
    const at = object << SYNC_SHIFT;
    this.#learn(
      slot,
      words[at + SYNC_CLOCK] as number,
      words[at + SYNC_SLOT] as number,
      words[at + SYNC_POSITION] as number,
    );
  }

  /** Joins a release into the clock of `slot`. */
  #learn(slot: number, clock: number, releaser: number, position: number): void {
    const state = this.#goroutines.state;
    const at = slot << STATE_SHIFT;
    const own = state[at + CLOCK] as number;
    if (releaser !== MERGED && this.#knows(slot, own, releaser, position)) return;
    const joined = this.#joined(own, clock, this.#clocks.get(clock, slot) >= (state[at + SETTLED] as number));
    state[at + CLOCK] = releaser === MERGED ? joined : this.#clocks.set(joined, releaser, position);
    state[at + SETTLED] = UNSETTLED;
  }

  /** The join of a caller's clock, which is taken over, and another, which may be known to include it. */
  #joined(own: number, clock: number, includes: boolean): number {
    if (!includes) return this.#clocks.join(own, clock);
    this.#clocks.retain(clock);
    this.#clocks.release(own);
    return clock;
  }

  /** Whether `slot`, whose clock is `own`, knows a release and all that it brought. */
  #knows(slot: number, own: number, releaser: number, position: number): boolean {
    if (position < this.#goroutines.turnStart(releaser)) return false;
    return releaser === slot || this.#clocks.get(own, releaser) >= position;
  }

  /** The object's clock becomes that of `slot`, whose epoch ends. */
  #store(slot: number, object: number): void {
    const position = this.#advance(slot);
    const clock = this.#goroutines.state[(slot << STATE_SHIFT) + CLOCK] as number;
    const words = this.#objects.words;
    const at = object << SYNC_SHIFT;
    this.#clocks.retain(clock);
    this.#clocks.release(words[at + SYNC_CLOCK] as number);
    words[at + SYNC_CLOCK] = clock;
    words[at + SYNC_SLOT] = slot;
    words[at + SYNC_POSITION] = position;
  }

  /** Joins the clock of `slot` into the object's; the epoch ends. */
  #merge(slot: number, object: number): void {
    const words = this.#objects.words;
    const at = object << SYNC_SHIFT;
    const own = this.#goroutines.state[(slot << STATE_SHIFT) + CLOCK] as number;
    const releaser = words[at + SYNC_SLOT] as number;
    const position = words[at + SYNC_POSITION] as number;
    let clock = words[at + SYNC_CLOCK] as number;
    const included = releaser === MERGED ? clock === EMPTY_CLOCK : this.#knows(slot, own, releaser, position);
    if (included) {
      this.#store(slot, object);
      return;
    }
    clock = this.#clocks.join(clock, own);
    if (releaser !== MERGED) clock = this.#clocks.set(clock, releaser, position);
    words[at + SYNC_CLOCK] = this.#clocks.set(clock, slot, this.#advance(slot));
    words[at + SYNC_SLOT] = MERGED;
  }

  /** Ends the epoch of `slot`; returns the position that says so. */
  #advance(slot: number): number {
    const state = this.#goroutines.state;
    const at = slot << STATE_SHIFT;
    const before = state[at + POSITION] as number;
    const floor = state[at + FLOOR] as number;
    if (before > floor || floor === LEAKED) state[at + ACCESSED] = before;
    const position = this.#history.pass(slot);
    state[at + FLOOR] = position;
    if (state[at + SETTLED] === UNSETTLED) state[at + SETTLED] = position;
    if (floor === LEAKED) this.#leaks.close(slot, position);
    return position;
  }
}
