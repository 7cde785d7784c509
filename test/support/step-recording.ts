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
      return { goroutine: step.goroutine, addr: step.address, size: step.size };
  }
}

/** The recording: an Initialize, and an event for each step. */
export function recordingOf(steps: readonly Step[]): TraceWriter {
  const writer = new TraceWriter().event(Op.Initialize, { goroutine: MAIN });
  for (const step of steps) add(writer, step, { pc: PC });
  return writer;
}

/**
 * The same program, whose goroutines call and return all the time, at pcs that are each event's own: so no two accesses have
 * one stack. Some single bytes and all atomics are accessed from a function that is not entered otherwise.
 */
export function recordingWithCalls(steps: readonly Step[]): TraceWriter {
  const writer = new TraceWriter().event(Op.Initialize, { goroutine: MAIN });
  const depths = new Map<number, number>();
  for (const [index, step] of steps.entries()) {
    const pc = PC + 64 * index;
    if ('goroutine' in step && step.goroutine !== 0) {
      const { goroutine } = step;
      const depth = depths.get(goroutine) ?? 0;
      const leaves = depth > 0 && index % 3 === 0;
      writer.event(leaves ? Op.FuncExit : Op.FuncEnter, leaves ? { goroutine } : { goroutine, pc: pc + 16 });
      depths.set(goroutine, leaves ? depth - 1 : depth + 1);
    }
    add(writer, step, { pc, arg: index % 2 === 0 ? pc + 32 : 0 });
  }
  return writer;
}

/** @param at the event's pc, and from where an access that does not say so otherwise was called, if `arg` is not 0 */
function add(writer: TraceWriter, step: Step, at: { readonly pc: number; readonly arg?: number }): void {
  if (step.op !== 'read' && step.op !== 'write') {
    writer.event(OPS[step.op], { ...at, ...fieldsOf(step) });
  } else if (step.size > 1) {
    const { goroutine, address: addr, size: arg } = step;
    writer.event(step.op === 'read' ? Op.ReadRange : Op.WriteRange, { goroutine, addr, arg, pc: at.pc });
  } else if ((at.arg ?? 0) !== 0) {
    writer.event(step.op === 'read' ? Op.ReadPC : Op.WritePC, { ...at, ...fieldsOf(step) });
  } else {
    writer.event(step.op === 'read' ? Op.Read : Op.Write, { ...fieldsOf(step), pc: at.pc });
  }
}
