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

/** What orders the accesses of the goroutine that has a slot; whoever calls has made sure that one has it. */
export interface Order {
  /** Starts a goroutine; its clock is a copy of its parent's, or empty if `parent` is 0. */
  start(parent: number, goroutine: number, createdAt: number): void;
  /** Makes a slot for what began before all that the detector has seen: a running goroutine, or 0. Returns it. */
  assume(goroutine: number): number;
  /** Ends a goroutine, and so its epoch. */
  end(goroutine: number): void;
  acquire(slot: number, low: number, high: number): void;
  releaseStore(slot: number, low: number, high: number): void;
  releaseMerge(slot: number, low: number, high: number): void;
  releaseAcquire(slot: number, low: number, high: number): void;
  /** What an atomic read-modify-write does: an acquire, then a release of the joined clock. */
  acquireRelease(slot: number, low: number, high: number): void;
  /** Whether it is between IgnoreSyncBegin and IgnoreSyncEnd. */
  ignores(slot: number): boolean;
  ignoreBegin(slot: number): void;
  /** @throws LazyShadowError ERR_INVALID_USE without IgnoreSyncBegin */
  ignoreEnd(slot: number): void;
  /** The goroutine is ordered after all that every goroutine did so far, and to the end of its epoch (leak.ts). */
  finalizer(slot: number): void;
}

/** What needs room may throw LazyShadowError ERR_OUT_OF_MEMORY. */
export function createOrder(
  clocks: Clocks,
  goroutines: Goroutines,
  objects: SyncObjects,
  history: History,
  leaks: Leaks,
): Order {
  const { state } = goroutines;
  const { get, set, join, retain, release } = clocks;
  const { words, find, make, renew } = objects;
  const { pass } = history;

  function start(parent: number, goroutine: number, createdAt: number): void {
    goroutines.checkStart(goroutine);
    const parentSlot = parent === 0 ? -1 : goroutines.slotOf(parent);
    goroutines.makeRoom(goroutine);
    makeRoom();
    let clock = EMPTY_CLOCK;
    if (parentSlot >= 0) {
      const position = advance(parentSlot);
      const known = state[(parentSlot << STATE_SHIFT) + CLOCK] as number;
      clock = set(retain(known), parentSlot, position);
    }
    const slot = goroutines.start(goroutine, clock, createdAt);
    clocks.cover(goroutines.slotCount);
    history.begin(slot);
  }

  function assume(goroutine: number): number {
    goroutines.makeRoom(goroutine);
    makeRoom();
    const slot = goroutines.assume(goroutine);
    clocks.cover(goroutines.slotCount);
    history.begin(slot);
    return slot;
  }

  function end(goroutine: number): void {
    const slot = goroutines.slotOf(goroutine);
    const position = state[(slot << STATE_SHIFT) + POSITION] as number;
    leaks.close(slot, position + 1);
    goroutines.end(goroutine);
    history.retire(slot);
  }

  /** Makes sure that clocks have a component for one more slot. */
  function makeRoom(): void {
    if (goroutines.slotCount < clocks.capacity()) return;
    clocks.deepen();
    const { slotCount } = goroutines;
    for (let slot = 0; slot < slotCount; slot++) {
      const at = (slot << STATE_SHIFT) + CLOCK;
      state[at] = clocks.deepened(state[at] as number);
    }
    objects.replaceClocks((clock) => clocks.deepened(clock));
  }

  function acquire(slot: number, low: number, high: number): void {
    if (ignores(slot)) return;
    const object = find(low, high);
    if (object !== 0) acquireFrom(slot, object);
  }

  function releaseStore(slot: number, low: number, high: number): void {
    if (ignores(slot)) return;
    store(slot, renew(low, high));
  }

  function releaseMerge(slot: number, low: number, high: number): void {
    if (ignores(slot)) return;
    merge(slot, make(low, high));
  }

  function releaseAcquire(slot: number, low: number, high: number): void {
    if (ignores(slot)) return;
    const object = make(low, high);
    const at = object << SYNC_SHIFT;
    // The object's hold on its old clock passes to this call.
    const oldClock = words[at + SYNC_CLOCK] as number;
    const oldSlot = words[at + SYNC_SLOT] as number;
    const oldPosition = words[at + SYNC_POSITION] as number;
    words[at + SYNC_CLOCK] = EMPTY_CLOCK;
    store(slot, object);
    learn(slot, oldClock, oldSlot, oldPosition);
    release(oldClock);
  }

  function acquireRelease(slot: number, low: number, high: number): void {
    if (ignores(slot)) return;
    const object = make(low, high);
    acquireFrom(slot, object);
    // The goroutine's clock includes the object's now, so that merging into it is replacing it.
    store(slot, object);
  }

  function ignoreBegin(slot: number): void {
    const at = (slot << STATE_SHIFT) + IGNORE;
    state[at] = (state[at] as number) + 1;
  }

  function ignoreEnd(slot: number): void {
    const at = (slot << STATE_SHIFT) + IGNORE;
    const depth = state[at] as number;
    if (depth === 0) throw new LazyShadowError('ERR_INVALID_USE', 'IgnoreSyncEnd without IgnoreSyncBegin');
    state[at] = depth - 1;
  }

  function finalizer(slot: number): void {
    const { slotCount } = goroutines;
    const own = (slot << STATE_SHIFT) + CLOCK;
    let clock = state[own] as number;
    for (let other = 0; other < slotCount; other++) {
      if (other === slot) continue;
      const at = other << STATE_SHIFT;
      if (state[at + FLOOR] !== LEAKED && goroutines.isTaken(other)) {
        // A position that nobody knows yet: what was released before it does not include the rest of the epoch.
        const position = pass(other);
        state[at + FLOOR] = LEAKED;
        leaks.open(other, position);
      }
      clock = set(clock, other, state[at + POSITION] as number);
    }
    state[own] = clock;
    state[(slot << STATE_SHIFT) + SETTLED] = UNSETTLED;
  }

  function ignores(slot: number): boolean {
    return (state[(slot << STATE_SHIFT) + IGNORE] as number) > 0;
  }

  function acquireFrom(slot: number, object: number): void {
    const at = object << SYNC_SHIFT;
    learn(
      slot,
      words[at + SYNC_CLOCK] as number,
      words[at + SYNC_SLOT] as number,
      words[at + SYNC_POSITION] as number,
    );
  }

  /** Joins a release into the clock of `slot`. */
  function learn(slot: number, clock: number, releaser: number, position: number): void {
    const at = slot << STATE_SHIFT;
    const own = state[at + CLOCK] as number;
    if (releaser !== MERGED && knows(slot, own, releaser, position)) return;
    const includes = get(clock, slot) >= (state[at + SETTLED] as number);
    const both = joined(own, clock, includes) | 0;
    state[at + CLOCK] = (releaser === MERGED ? both : set(both, releaser, position)) | 0;
    state[at + SETTLED] = UNSETTLED;
  }

  /** The join of a caller's clock, which is taken over, and another, which may be known to include it. */
  function joined(own: number, clock: number, includes: boolean): number {
    if (!includes) return join(own, clock);
    retain(clock);
    release(own);
    return clock;
  }

  /** Whether `slot`, whose clock is `own`, knows a release and all that it brought. */
  function knows(slot: number, own: number, releaser: number, position: number): boolean {
    if (position < goroutines.turnStart(releaser)) return false;
    return releaser === slot || get(own, releaser) >= position;
  }

  /** The object's clock becomes that of `slot`, whose epoch ends. */
  function store(slot: number, object: number): void {
    const position = advance(slot) | 0;
    const clock = state[(slot << STATE_SHIFT) + CLOCK] as number;
    const at = object << SYNC_SHIFT;
    retain(clock);
    release(words[at + SYNC_CLOCK] as number);
    words[at + SYNC_CLOCK] = clock;
    words[at + SYNC_SLOT] = slot | 0;
    words[at + SYNC_POSITION] = position;
  }

  /** Joins the clock of `slot` into the object's; the epoch ends. */
  function merge(slot: number, object: number): void {
    const at = object << SYNC_SHIFT;
    const own = state[(slot << STATE_SHIFT) + CLOCK] as number;
    const releaser = words[at + SYNC_SLOT] as number;
    const position = words[at + SYNC_POSITION] as number;
    const clock = words[at + SYNC_CLOCK] as number;
    const included = releaser === MERGED ? clock === EMPTY_CLOCK : knows(slot, own, releaser, position);
    if (included) {
      store(slot, object);
      return;
    }
    const both = join(clock, own);
    const all = releaser === MERGED ? both : set(both, releaser, position);
    words[at + SYNC_CLOCK] = set(all, slot, advance(slot));
    words[at + SYNC_SLOT] = MERGED;
  }

  /** Ends the epoch of `slot`; returns the position that says so. */
  function advance(slot: number): number {
    const at = slot << STATE_SHIFT;
    const before = state[at + POSITION] as number;
    const floor = state[at + FLOOR] as number;
    if (before > floor || floor === LEAKED) state[at + ACCESSED] = before;
    const position = pass(slot) | 0;
    state[at + FLOOR] = position;
    if (state[at + SETTLED] === UNSETTLED) state[at + SETTLED] = position;
    // An access of this very event has this position too, if positions are numbers of events (bare.ts).
    if (floor === LEAKED) leaks.close(slot, position + 1);
    return position;
  }

  return {
    start,
    assume,
    end,
    acquire,
    releaseStore,
    releaseMerge,
    releaseAcquire,
    acquireRelease,
    ignores,
    ignoreBegin,
    ignoreEnd,
    finalizer,
  };
}
