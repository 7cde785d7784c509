/**
 * The events of a recording as calls of the detector.
 *
 * Events come in blocks, in an array that is always the same, and the loop over a block deals with the ten that are nearly
 * all there is; the others, and whatever looks wrong, leave it by `rare`. All that the loop reads but cells is in tables
 * that V8 has the places of built into its code (lib/native/table.ts): which it does for a function that is called again
 * and again, and not for one that it replaces while it runs. So a block is short.
 *
 * Each event is checked when it comes: going over a batch twice takes a tenth of the time. The loop's own checks are
 * those of lib/trace/validate.ts for its ten events, from what the detector knows of a goroutine.
 */
import { PLAIN_WRITE, READ } from '../race/access.js';
import { FIRST_NUMBER } from '../race/bare.js';
import type { Detector } from '../race/detector.js';
import { STACK, STATE_SHIFT } from '../race/goroutine.js';
import { PC_LOW } from '../race/history.js';
import { EMPTY_STACK, joinWords } from '../race/stack.js';
import { EVENT_SHIFT, EVENT_WORDS, FLAG_SUCCEEDED, Op } from './format.js';
import { type EventValidator, SIZE_SHIFT, UNCOMMON_HIGHS } from './validate.js';

/** 32 KiB of them. Each block costs a call and a copy; twice as many leave a core's first-level cache. */
const BLOCK_EVENTS = 1024;

/** Where the last event of a block is: what is masked with it cannot overflow, so V8 need not look. */
const LAST_EVENT = (BLOCK_EVENTS - 1) * EVENT_WORDS;

/** Word 0 of an event without its flags: the op and the size of the access. */
const OP_AND_SIZE = ~0xff00;
const ONE_BYTE = 1 << SIZE_SHIFT;

const NO_EVENTS: Int32Array = new Int32Array(0);

/** What feeds recordings to a detector, one after another. */
export interface Replayer {
  /** Events of the batch that the detector has taken. */
  done(): number;
  /**
   * Feeds the first `count` events of a batch to the detector, up to the first that is wrong: `done` is less than
   * `count` then.
   * @param before events that the detector had before these, for one that numbers them (lib/race/bare.ts)
   * @throws what the detector throws; `done` is then the index of the event that it threw at
   */
  replay(validator: EventValidator, words: Int32Array, count: number, before: number): void;
}

/**
 * Makes an event right that is wrong by what is known: whether it did. It is asked again until the event is right.
 * @param at its first word
 */
export type Amend = (validator: EventValidator, words: Int32Array, at: number) => boolean;

export function createReplayer(detector: Detector, amend: Amend = () => false): Replayer {
  const events = new Int32Array(BLOCK_EVENTS * EVENT_WORDS);
  const { goroutines } = detector;
  const { slots, state } = goroutines;
  const { one, range } = detector.accesses;
  const { acquire, releaseStore } = detector.order;
  const { push, parent } = detector.stacks;
  const { drop } = detector.objects;
  /** Whether accesses are told by the numbers of their events, instead of by their pcs. */
  const numbered = detector.numbers !== undefined;
  const { atHand } = detector;
  let done = 0;
  // What a batch is replayed with.
  let validator: EventValidator;
  let batch = NO_EVENTS;
  let firstNumber = FIRST_NUMBER;

  function replay(checks: EventValidator, words: Int32Array, count: number, before: number): void {
    validator = checks;
    batch = words;
    firstNumber = before + FIRST_NUMBER;
    done = 0;
    try {
      while (done < count) {
        const first = done;
        const end = Math.min(first + BLOCK_EVENTS, count);
        events.set(words.subarray(first * EVENT_WORDS, end * EVENT_WORDS));
        replayBlock(first, (end - first) * EVENT_WORDS);
        if (done < end) return;
      }
    } finally {
      // The whole recording, perhaps, which the next replay must not keep in memory.
      batch = NO_EVENTS;
    }
  }

  /** The events of the block, whose number in the batch is from `first` on, up to the first that is wrong. */
  function replayBlock(first: number, end: number): void {
    const blockNumber = (firstNumber + first) | 0;
    let place = 0;
    try {
      for (; place < end; place += EVENT_WORDS) {
        const at = place & LAST_EVENT;
        const goroutine = events[at + 1] as number;
        const low = events[at + 2] as number;
        const high = events[at + 3] as number;
        const argHigh = events[at + 5] as number;
        const isUsual = ((high | argHigh | (events[at + 7] as number)) & UNCOMMON_HIGHS) === 0;
        const number = (blockNumber + (place >> EVENT_SHIFT)) | 0;
        const pcLow = numbered ? number : (events[at + 6] as number);
        const pcHigh = numbered ? 0 : (events[at + 7] as number);
        const slot =
          isUsual && goroutine > 0 && goroutine < goroutines.known ? (slots[goroutine] as number) - 1 : -1;
        if (slot >= 0) {
          const call = (events[at] as number) & OP_AND_SIZE;
          if (call === (Op.Read | ONE_BYTE) || call === (Op.Write | ONE_BYTE)) {
            one(slot, call === (Op.Read | ONE_BYTE) ? READ : PLAIN_WRITE, low, high, pcLow, pcHigh);
            continue;
          }
          const own = (slot << STATE_SHIFT) + STACK;
          const stack = state[own] as number;
          if (call === Op.FuncEnter) {
            state[own] = push(stack, pcLow, pcHigh) | 0;
            continue;
          }
          if (call === Op.FuncExit && stack !== EMPTY_STACK) {
            state[own] = parent(stack);
            continue;
          }
          if (call === Op.Acquire) {
            acquire(slot, low, high);
            continue;
          }
          if (call === Op.Release) {
            atHand[PC_LOW] = number;
            releaseStore(slot, low, high);
            continue;
          }
          if (call === Op.ReadRange || call === Op.WriteRange) {
            const sizeBytes = events[at + 4] as number;
            if (argHigh === 0 && sizeBytes >= 0) {
              range(slot, call === Op.ReadRange ? READ : PLAIN_WRITE, low, high, sizeBytes, pcLow, pcHigh);
              continue;
            }
          }
        } else if (isUsual && goroutine === 0 && argHigh === 0) {
          const call = (events[at] as number) & OP_AND_SIZE;
          const sizeBytes = events[at + 4] as number;
          if (call === Op.Malloc && sizeBytes >= 0) {
            detector.malloc(low, high, sizeBytes, allocator(batch, first * EVENT_WORDS + at));
            continue;
          }
          if (call === Op.Free && sizeBytes >= 0) {
            drop(low, high, sizeBytes);
            continue;
          }
        }
        atHand[PC_LOW] = number;
        if (!rare(detector, validator, amend, batch, first * EVENT_WORDS + at)) return;
      }
    } finally {
      done = first + place / EVENT_WORDS;
    }
  }

  return {
    done: () => done,
    replay,
  };
}

/** Tells the validator how many functions a goroutine is in, if it runs. */
export function noteDepth(detector: Detector, validator: EventValidator, goroutine: number): void {
  const { goroutines, stacks } = detector;
  const slot = goroutines.find(goroutine);
  if (slot >= 0)
    validator.noteDepth(goroutine, stacks.depth(goroutines.state[(slot << STATE_SHIFT) + STACK] as number));
}

/**
 * Any event, the one at `at`; false if it is wrong.
 *
 * One function, and a long one, so that V8 does not put it into the loop, in the place of what is common: what it puts
 * there comes to 920 bytes of bytecode at most.
 */
function rare(
  detector: Detector,
  validator: EventValidator,
  amend: Amend,
  words: Int32Array,
  at: number,
): boolean {
  // The validator has not seen what the loop did.
  if (((words[at] as number) & 0xff) === Op.FuncExit) {
    noteDepth(detector, validator, words[at + 1] as number);
  }
  while (!validator.admit(words, at)) if (!amend(validator, words, at)) return false;
  const head = words[at] as number;
  const goroutine = words[at + 1] as number;
  const low = words[at + 2] as number;
  const high = words[at + 3] as number;
  const argLow = words[at + 4] as number;
  const argHigh = words[at + 5] as number;
  // Sizes and pcs are mostly integers, which a call can be given as they are.
  const arg = argHigh === 0 && argLow >= 0 ? argLow : joinWords(argLow, argHigh);
  const numbered = detector.numbers !== undefined;
  const pcLow = (numbered ? detector.atHand[PC_LOW] : words[at + 6]) as number;
  const pcHigh = numbered ? 0 : (words[at + 7] as number);
  const size = head >>> SIZE_SHIFT;
  switch (head & 0xff) {
    case Op.Read:
      detector.accesses.one(detector.goroutines.slotOf(goroutine), READ, low, high, pcLow, pcHigh);
      break;
    case Op.Write:
      detector.accesses.one(detector.goroutines.slotOf(goroutine), PLAIN_WRITE, low, high, pcLow, pcHigh);
      break;
    case Op.FuncEnter:
      detector.funcEnter(goroutine, pcLow, pcHigh);
      break;
    case Op.FuncExit:
      detector.funcExit(goroutine);
      break;
    case Op.ReadRange:
      detector.accesses.range(detector.goroutines.slotOf(goroutine), READ, low, high, arg, pcLow, pcHigh);
      break;
    case Op.WriteRange:
      detector.accesses.range(
        detector.goroutines.slotOf(goroutine),
        PLAIN_WRITE,
        low,
        high,
        arg,
        pcLow,
        pcHigh,
      );
      break;
    case Op.ReadPC:
      detector.accesses.called(detector.goroutines.slotOf(goroutine), READ, low, high, 1, pcLow, pcHigh, arg);
      break;
    case Op.WritePC:
      detector.accesses.called(
        detector.goroutines.slotOf(goroutine),
        PLAIN_WRITE,
        low,
        high,
        1,
        pcLow,
        pcHigh,
        arg,
      );
      break;
    case Op.Malloc:
      detector.malloc(low, high, arg, allocator(words, at));
      break;
    case Op.Free:
      detector.free(low, high, arg);
      break;
    case Op.Acquire:
      detector.acquire(goroutine, low, high);
      break;
    case Op.Release:
      detector.release(goroutine, low, high);
      break;
    case Op.ReleaseMerge:
      detector.releaseMerge(goroutine, low, high);
      break;
    case Op.ReleaseAcquire:
      detector.releaseAcquire(goroutine, low, high);
      break;
    case Op.AtomicLoad:
      detector.atomicLoad(goroutine, low, high, size, pcLow, pcHigh, arg);
      break;
    case Op.AtomicStore:
      detector.atomicStore(goroutine, low, high, size, pcLow, pcHigh, arg);
      break;
    case Op.AtomicExchange:
    case Op.AtomicFetchAdd:
      detector.atomicUpdate(goroutine, low, high, size, pcLow, pcHigh, arg);
      break;
    case Op.AtomicCompareAndSwap:
      if ((head & (FLAG_SUCCEEDED << 8)) !== 0) {
        detector.atomicUpdate(goroutine, low, high, size, pcLow, pcHigh, arg);
      } else {
        detector.atomicFailedSwap(goroutine, low, high, size, pcLow, pcHigh, arg);
      }
      break;
    case Op.IgnoreSyncBegin:
      detector.ignoreSyncBegin(goroutine);
      break;
    case Op.IgnoreSyncEnd:
      detector.ignoreSyncEnd(goroutine);
      break;
    case Op.GoStart:
      detector.goStart(goroutine, arg, pcLow, pcHigh);
      break;
    case Op.GoEnd:
      detector.goEnd(goroutine);
      break;
    case Op.MapShadow:
      detector.mapShadow(joinWords(low, high), arg);
      break;
    case Op.FinalizerGoroutine:
      detector.finalizerGoroutine(goroutine);
      break;
    case Op.Initialize:
      detector.initialize(goroutine);
      break;
  }
  return true;
}

/**
 * Who makes the Malloc at `at`, which recordings do not say: the goroutine of the events before and after it, if that
 * is one and the same; else 0.
 */
export function allocator(words: Int32Array, at: number): number {
  const before = words[at - EVENT_WORDS + 1];
  return before !== undefined && before === words[at + EVENT_WORDS + 1] ? before : 0;
}
