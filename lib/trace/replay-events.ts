/**
 * The events of a recording as calls of the detector: one batch in one loop.
 *
 * Words go to the detector as they are; only what is rare (ranges, allocations, mappings) becomes a number first.
 */
import { PLAIN_WRITE, READ } from '../race/access.js';
import type { Detector } from '../race/detector.js';
import { EVENT_WORDS, FLAG_SUCCEEDED, Op } from './format.js';
import { COMMON_RULE, type EventValidator, isCommon, NEEDS_NONE, RUNNING, STEP_SHIFT } from './validate.js';

/** How far a batch has come. */
export interface Progress {
  /** Events of the batch that the detector has taken. */
  done: number;
}

/**
 * Feeds the first `count` events of a batch to the detector, up to the first that is wrong: `progress.done` is less than
 * `count` then. Each is checked when it comes: going over the batch twice takes a tenth of the time.
 * @throws what the detector throws; `progress.done` is then the index of the event that it threw at
 */
export function replayEvents(
  detector: Detector,
  validator: EventValidator,
  words: Int32Array,
  count: number,
  progress: Progress,
): void {
  const { accesses } = detector;
  let { goroutines } = validator;
  const end = count * EVENT_WORDS;
  let at = 0;
  try {
    for (; at < end; at += EVENT_WORDS) {
      const head = words[at] as number;
      const goroutine = words[at + 1] as number;
      const low = words[at + 2] as number;
      const high = words[at + 3] as number;
      const pcLow = words[at + 6] as number;
      const pcHigh = words[at + 7] as number;
      const op = head & 0xff;
      // EventValidator.admit's common path. As a call it would be inlined in place of more expensive ones.
      const rule = COMMON_RULE[op] as number;
      const state = (goroutines[goroutine] as number) + (rule >> STEP_SHIFT);
      if (
        isCommon(rule, head, low, high | (words[at + 5] as number) | pcHigh) &&
        (state >= RUNNING || (goroutine === 0 && (rule & NEEDS_NONE) !== 0))
      ) {
        goroutines[goroutine] = state;
      } else {
        if (!validator.admit(words, at)) return;
        goroutines = validator.goroutines;
      }
      switch (op) {
        case Op.Read:
        case Op.Write:
          accesses.one(goroutine, op === Op.Read ? READ : PLAIN_WRITE, low, high, pcLow, pcHigh);
          break;
        case Op.FuncEnter:
          detector.funcEnter(goroutine, pcLow, pcHigh);
          break;
        case Op.FuncExit:
          detector.funcExit(goroutine);
          break;
        default:
          replayRare(detector, words, at, head);
      }
    }
  } finally {
    progress.done = at / EVENT_WORDS;
  }
}

function replayRare(detector: Detector, words: Int32Array, at: number, head: number): void {
  const goroutine = words[at + 1] as number;
  const low = words[at + 2] as number;
  const high = words[at + 3] as number;
  const arg = numberOf(words[at + 4] as number, words[at + 5] as number);
  const pcLow = words[at + 6] as number;
  const pcHigh = words[at + 7] as number;
  const size = head >>> 16;
  switch (head & 0xff) {
    case Op.ReadRange:
      detector.accesses.range(goroutine, READ, low, high, arg, pcLow, pcHigh);
      break;
    case Op.WriteRange:
      detector.accesses.range(goroutine, PLAIN_WRITE, low, high, arg, pcLow, pcHigh);
      break;
    case Op.ReadPC:
      detector.accesses.oneCalled(goroutine, READ, low, high, pcLow, pcHigh, arg);
      break;
    case Op.WritePC:
      detector.accesses.oneCalled(goroutine, PLAIN_WRITE, low, high, pcLow, pcHigh, arg);
      break;
    case Op.Malloc:
      detector.malloc(numberOf(low, high), arg, allocator(words, at));
      break;
    case Op.Free:
      detector.free(numberOf(low, high), arg);
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
      detector.mapShadow(numberOf(low, high), arg);
      break;
    case Op.FinalizerGoroutine:
      detector.finalizerGoroutine(goroutine);
      break;
    case Op.Initialize:
      detector.initialize(goroutine);
      break;
  }
}

/**
 * Who makes the Malloc at `at`, which recordings do not say: the goroutine of the events before and after it, if that
 * is one and the same; else 0.
 */
function allocator(words: Int32Array, at: number): number {
  const before = words[at - EVENT_WORDS + 1];
  return before !== undefined && before === words[at + EVENT_WORDS + 1] ? before : 0;
}

function numberOf(low: number, high: number): number {
  return high * 2 ** 32 + (low >>> 0);
}
