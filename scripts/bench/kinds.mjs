// What an event of each kind costs, here and in Go's race runtime: recordings of one kind each, made for the purpose.
//
//     node scripts/bench/kinds.mjs [--rounds N]
//
// The least of many warm replays: with nothing in them that varies, what is above it is what else the machine does. The
// native figure is the least of as many processes.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildNative, root } from './recordings.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '25' } } });
const rounds = Number(values.rounds);
const { Op, Shadow, TraceReader, TraceWriter, replayTrace } = await import(
  pathToFileURL(join(root, 'dist/esm/index.js')).href
);

const EVENTS = 800_000;
const GOROUTINES = [2, 3, 4, 5];
const HEAP = 0xc0_0000_0000;
const HEAP_BYTES = 64 * 2 ** 20;
const LOCK = HEAP + 2 ** 21;
const DATA = HEAP + 8192;
const PC = 0x450000;

/** Bytes of an access. */
const SIZES = { [Op.Read]: 1, [Op.Write]: 1, [Op.AtomicFetchAdd]: 4 };

const event = (op, goroutine, addr, arg) => ({ op, goroutine, addr, arg, pc: PC });
const release = (goroutine) => event(Op.Release, goroutine, LOCK);
const acquire = (goroutine) => event(Op.Acquire, goroutine, LOCK);

/** For each kind: the events of step `i`. */
const KINDS = {
  'read again': () => [event(Op.Read, 2, DATA)],
  'read again, by four': (i) => [event(Op.Read, GOROUTINES[i % 4], DATA)],
  'call and return': () => [event(Op.FuncEnter, 2), event(Op.FuncExit, 2)],
  'write again, in another epoch': (i) => [
    ...(i % 64 === 0 ? [release(2)] : []),
    event(Op.Write, 2, DATA + 8 * (i % 64)),
  ],
  "write after another's write": (i) => {
    const goroutine = GOROUTINES[Math.floor(i / 64) % 2];
    return [
      ...(i % 64 === 0 ? [acquire(goroutine)] : []),
      event(Op.Write, goroutine, DATA + 8 * (i % 64)),
      ...(i % 64 === 63 ? [release(goroutine)] : []),
    ];
  },
  'read the next byte': (i) => [...(i % 8 === 0 ? [release(2)] : []), event(Op.Read, 2, DATA + (i % 8))],
  'write a range of 128 bytes': (i) => [
    ...(i % 8 === 0 ? [release(2)] : []),
    event(Op.WriteRange, 2, DATA + 128 * (i % 8), 128),
  ],
  'allocate and free 48 bytes': (i) => [
    event(Op.Malloc, 0, DATA + 64 * (i % 64), 48),
    event(Op.Free, 0, DATA + 64 * (i % 64), 48),
  ],
  'add atomically': () => [event(Op.AtomicFetchAdd, 2, LOCK)],
  'acquire and release, in turns': (i) => [acquire(GOROUTINES[i % 2]), release(GOROUTINES[i % 2])],
};

/** The recording of a kind. */
function recordingOf(stepOf) {
  const recording = new TraceWriter();
  const add = (events) => {
    for (const { op, ...fields } of events) recording.event(op, { ...fields, size: SIZES[op] ?? 0 });
  };
  add([event(Op.Initialize, 1), event(Op.MapShadow, 1, HEAP, HEAP_BYTES)]);
  add(GOROUTINES.map((goroutine) => event(Op.GoStart, 1, 0, goroutine)));
  for (let i = 0; recording.eventCount < EVENTS; i++) add(stepOf(i));
  return recording.finish();
}

/** The least that an event takes in this process, in ns. */
async function ours(bytes) {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const shadow = new Shadow({ policy: 'lazy' });
    const reader = await TraceReader.open(bytes);
    const { elapsedMs, events } = await replayTrace(reader, shadow);
    least = Math.min(least, (elapsedMs * 1e6) / events);
    await reader.close();
    shadow.release();
  }
  return least;
}

/** The least that it takes in Go's runtime. */
function theirs(native, file) {
  const times = Array.from({ length: rounds }, () => {
    const { cpuNs, events } = JSON.parse(
      execFileSync(native, [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    return cpuNs / events;
  });
  return Math.min(...times);
}

const scratch = mkdtempSync(join(tmpdir(), 'lazyshadow-kinds-'));
try {
  const native = buildNative(scratch);
  console.log('| an event of | ns | native |\n| --- | --- | --- |');
  for (const [kind, stepOf] of Object.entries(KINDS)) {
    const bytes = recordingOf(stepOf);
    const file = join(scratch, 'kind.trc');
    writeFileSync(file, bytes);
    const ns = (await ours(bytes)).toFixed(1);
    console.log(`| ${kind} | ${ns} | ${native === undefined ? '–' : theirs(native, file).toFixed(1)} |`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
