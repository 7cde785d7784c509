/**
 * The events of a recording as calls of the detector: one batch in one loop.
 *
 * Words go to the detector as they are; only what is rare (ranges, allocations, mappings) becomes a number first.
 */
import { type Detector, PLAIN_WRITE, READ } from '../race/detector.js';
import { EVENT_WORDS, FLAG_SUCCEEDED, Op } from './format.js';

/**
 * Feeds events [from, count) to the detector; returns how many of the batch were taken. Fewer than `count` only if
 * `stop` says so after a race.
 * @throws what the detector throws; `position.event` is the event then
 */
export function replayEvents(
  detector: Detector,
  words: Int32Array,
  count: number,
  position: { event: number },
): void {
  let i = 0;
  try {
    for (; i < count; i++) {
      const at = i * EVENT_WORDS;
      const head = words[at] as number;
      const goroutine = words[at + 1] as number;
      const low = words[at + 2] as number;
      const high = words[at + 3] as number;
      switch (head & 0xff) {
        case Op.Read:
          detector.access(goroutine, READ, low, high, words[at + 6] as number, words[at + 7] as number);
          break;
        case Op.Write:
          detector.access(
            goroutine,
            PLAIN_WRITE,
            low,
            high,
            words[at + 6] as number,
            words[at + 7] as number,
          );
          break;
        case Op.FuncEnter:
          detector.funcEnter(goroutine, words[at + 6] as number, words[at + 7] as number);
          break;
        case Op.FuncExit:
          detector.funcExit(goroutine);
          break;
        default:
          replayRare(detector, words, at, head);
      }
    }
  } catch (error) {
    position.event = i;
    throw error;
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
      return detector.accessRange(goroutine, READ, low, high, arg, pcLow, pcHigh);
    case Op.WriteRange:
      return detector.accessRange(goroutine, PLAIN_WRITE, low, high, arg, pcLow, pcHigh);
    case Op.ReadPC:
      return detector.accessCalled(goroutine, READ, low, high, pcLow, pcHigh, arg);
    case Op.WritePC:
      return detector.accessCalled(goroutine, PLAIN_WRITE, low, high, pcLow, pcHigh, arg);
    case Op.Malloc:
      return detector.malloc(numberOf(low, high), arg);
    case Op.Free:
      return detector.free(numberOf(low, high), arg);
    case Op.Acquire:
      return detector.acquire(goroutine, low, high);
    case Op.Release:
      return detector.release(goroutine, low, high);
    case Op.ReleaseMerge:
      return detector.releaseMerge(goroutine, low, high);
    case Op.ReleaseAcquire:
      return detector.releaseAcquire(goroutine, low, high);
    case Op.AtomicLoad:
      return detector.atomicLoad(goroutine, low, high, size, pcLow, pcHigh, arg);
    case Op.AtomicStore:
      return detector.atomicStore(goroutine, low, high, size, pcLow, pcHigh, arg);
    case Op.AtomicExchange:
    case Op.AtomicFetchAdd:
      return detector.atomicUpdate(goroutine, low, high, size, pcLow, pcHigh, arg);
    case Op.AtomicCompareAndSwap:
      if ((head & (FLAG_SUCCEEDED << 8)) !== 0) {
        return detector.atomicUpdate(goroutine, low, high, size, pcLow, pcHigh, arg);
      }
      return detector.atomicFailedSwap(goroutine, low, high, size, pcLow, pcHigh, arg);
    case Op.IgnoreSyncBegin:
      return detector.ignoreSyncBegin(goroutine);
    case Op.IgnoreSyncEnd:
      return detector.ignoreSyncEnd(goroutine);
    case Op.GoStart:
      return detector.goStart(goroutine, arg, pcLow, pcHigh);
    case Op.GoEnd:
      return detector.goEnd(goroutine);
    case Op.MapShadow:
      return detector.mapShadow(numberOf(low, high), arg);
    case Op.FinalizerGoroutine:
      return detector.finalizerGoroutine(goroutine);
    case Op.Initialize:
      return detector.initialize(goroutine);
  }
}

function numberOf(low: number, high: number): number {
  return high * 2 ** 32 + (low >>> 0);
}
