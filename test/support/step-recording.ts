/**
 * The steps of a random program as the events of a recording.
 */
import { Op } from '../../lib/trace/format.js';
import { type EventFields, TraceWriter } from '../../lib/trace/writer.js';
import type { Step } from './plain-checker.js';
import { MAIN } from './random-program.js';

const PC = 0x400000;

const OPS: Record<Exclude<Step['op'], 'read' | 'write'>, Op> = {
  map: Op.MapShadow,
  malloc: Op.Malloc,
  free: Op.Free,
  start: Op.GoStart,
  end: Op.GoEnd,
  fingo: Op.FinalizerGoroutine,
  ignoreBegin: Op.IgnoreSyncBegin,
  ignoreEnd: Op.IgnoreSyncEnd,
  acquire: Op.Acquire,
  release: Op.Release,
  releaseMerge: Op.ReleaseMerge,
  releaseAcquire: Op.ReleaseAcquire,
  load: Op.AtomicLoad,
  store: Op.AtomicStore,
  update: Op.AtomicFetchAdd,
  failedSwap: Op.AtomicCompareAndSwap,
};

function fieldsOf(step: Step): EventFields {
  switch (step.op) {
    case 'map':
    case 'malloc':
    case 'free':
      return { addr: step.address, arg: step.size };
    case 'start':
      return { goroutine: step.goroutine, arg: step.child };
    case 'end':
    case 'fingo':
    case 'ignoreBegin':
    case 'ignoreEnd':
      return { goroutine: step.goroutine };
    case 'acquire':
    case 'release':
    case 'releaseMerge':
    case 'releaseAcquire':
      return { goroutine: step.goroutine, addr: step.address };
    default:
      return { goroutine: step.goroutine, addr: step.address, size: step.size, pc: PC };
  }
}

/** The recording: an Initialize, and an event for each step. */
export function recordingOf(steps: readonly Step[]): TraceWriter {
  const writer = new TraceWriter().event(Op.Initialize, { goroutine: MAIN });
  for (const step of steps) {
    if (step.op !== 'read' && step.op !== 'write') {
      writer.event(OPS[step.op], fieldsOf(step));
    } else if (step.size === 1) {
      writer.event(step.op === 'read' ? Op.Read : Op.Write, fieldsOf(step));
    } else {
      const { goroutine, address: addr, size: arg } = step;
      writer.event(step.op === 'read' ? Op.ReadRange : Op.WriteRange, { goroutine, addr, arg, pc: PC });
    }
  }
  return writer;
}
