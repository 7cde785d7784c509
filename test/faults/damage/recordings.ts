/**
 * Recordings to damage: the beginnings of real ones, with their symbols, and one in which every call occurs.
 */
import { EVENT_BYTES, HEADER, HEADER_BYTES, Op } from '../../../lib/trace/format.js';
import { program, programBytes, raceTests } from '../../support/recordings.js';
import { begun } from '../../support/traces.js';

/** Events that are kept: enough for goroutines, locks and races, few enough for ten thousand replays. */
const MOST_EVENTS = 1500;
/** Lines of symbols that are kept. */
const MOST_LINES = 20;
/** Every so many of Go's race tests. */
const RACE_TEST_STEP = 40;

const HEAP = 0xc0_0000_0000;

/** The first events of a recording, and the first lines of its symbols, as a recording of its own. */
function beginningOf(bytes: Uint8Array): Buffer {
  const whole = Buffer.from(bytes);
  const events = Math.min(MOST_EVENTS, whole.readUInt32LE(HEADER.eventCount));
  const text = whole.subarray(whole.readUInt32LE(HEADER.symbolOffset)).toString('latin1');
  const lines = text.split('\n').slice(0, MOST_LINES).filter(Boolean);
  const symbolOffset = HEADER_BYTES + EVENT_BYTES * events;
  const kept = Buffer.concat([
    whole.subarray(0, symbolOffset),
    Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1'),
  ]);
  kept.writeUInt32LE(events, HEADER.eventCount);
  kept.writeUInt32LE(symbolOffset, HEADER.symbolOffset);
  kept.writeUInt32LE(lines.length, HEADER.pcCount);
  return kept;
}

/** Every call, twice, on two goroutines. */
function everyCall(): Buffer {
  const writer = begun().event(Op.MapShadow, { addr: HEAP, arg: 65536 });
  writer.event(Op.GoStart, { goroutine: 1, arg: 2, pc: 0x40_0000 });
  const skipped: number[] = [Op.Initialize, Op.MapShadow, Op.GoStart, Op.GoEnd, Op.Finalize, Op.FuncExit];
  for (const goroutine of [1, 2]) {
    for (const op of Object.values(Op)) {
      if (skipped.includes(op)) continue;
      const isAtomic = op >= Op.AtomicLoad;
      const size = isAtomic ? 8 : op >= Op.Read && op <= Op.WritePC ? 1 : 0;
      const arg = op >= Op.ReadRange && op <= Op.Free ? 24 : 0;
      writer.event(op, { goroutine, addr: HEAP + 8 * op, arg, pc: 0x40_0000 + op, size });
    }
  }
  writer.event(Op.FuncExit, { goroutine: 2 }).event(Op.GoEnd, { goroutine: 2 }).event(Op.Finalize);
  return Buffer.from(writer.finish(['400000\tmain.f\tmain.go\t1\t0', '400006\tmain.g\tmain.go\t2\t6']));
}

/** All of them: the same, in the same order, every time. */
export async function recordingsToDamage(): Promise<readonly Buffer[]> {
  const found = [
    everyCall(),
    ...['racycounter', 'racymap'].map((name) => beginningOf(programBytes(program(name)))),
  ];
  let number = 0;
  for await (const { bytes } of raceTests()) {
    if (number++ % RACE_TEST_STEP === 0) found.push(beginningOf(bytes));
  }
  return found;
}
