// What an event of each kind costs, here and in Go's race runtime: recordings of one kind each, made for the purpose.
//
//     node scripts/bench/kinds.mjs [--rounds N]
//
// The least of many warm replays: with nothing in them that varies, what is above it is what else the machine does. The
// native figure is the least of as many processes.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { OP, writeRecording } from './made-recordings.mjs';
import { buildNative, root } from './recordings.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '25' } } });
const rounds = Number(values.rounds);
const { Shadow, TraceReader, replayTrace } = await import(
  pathToFileURL(join(root, 'dist/esm/index.js')).href
);

const EVENTS = 800_000;
const GOROUTINES = [2, 3, 4, 5];
const HEAP = 0xc0_0000_0000;
const HEAP_BYTES = 64 * 2 ** 20;
const LOCK = HEAP + 2 ** 21;
const DATA = HEAP + 8192;
const PC = 0x450000;

const event = (op, goroutine, address = 0, argument = 0, pc = PC) => ({
  op,
  goroutine,
  address,
  argument,
  pc,
});
const release = (goroutine) => event(OP.release, goroutine, LOCK);
const acquire = (goroutine) => event(OP.acquire, goroutine, LOCK);

/** For each kind: the events of step `i`. */
const KINDS = {
  'read again': () => [event(OP.read, 2, DATA)],
  'read again, by four': (i) => [event(OP.read, GOROUTINES[i % 4], DATA)],
  'call and return': () => [event(OP.enter, 2), event(OP.exit, 2)],
  'write again, in another epoch': (i) => [
    ...(i % 64 === 0 ? [release(2)] : []),
    event(OP.write, 2, DATA + 8 * (i % 64)),
  ],
  "write after another's write": (i) => {
    const goroutine = GOROUTINES[Math.floor(i / 64) % 2];
    return [
      ...(i % 64 === 0 ? [acquire(goroutine)] : []),
      event(OP.write, goroutine, DATA + 8 * (i % 64)),
      ...(i % 64 === 63 ? [release(goroutine)] : []),
    ];
  },
  'read the next byte': (i) => [...(i % 8 === 0 ? [release(2)] : []), event(OP.read, 2, DATA + (i % 8))],
  'write a range of 128 bytes': (i) => [
    ...(i % 8 === 0 ? [release(2)] : []),
    event(OP.writeRange, 2, DATA + 128 * (i % 8), 128),
  ],
  'acquire and release, in turns': (i) => [acquire(GOROUTINES[i % 2]), release(GOROUTINES[i % 2])],
};

function* program(kind) {
  yield event(OP.initialize, 1);
  yield event(OP.mapShadow, 1, HEAP, HEAP_BYTES);
  for (const goroutine of GOROUTINES) yield event(OP.goStart, 1, 0, goroutine);
  for (let i = 0, made = 0; made < EVENTS; i++) {
    const events = KINDS[kind](i);
    yield* events;
    made += events.length;
  }
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
  for (const kind of Object.keys(KINDS)) {
    const file = join(scratch, 'kind.trc');
    writeRecording(file, program(kind));
    const ns = (await ours(readFileSync(file))).toFixed(1);
    console.log(`| ${kind} | ${ns} | ${native === undefined ? '–' : theirs(native, file).toFixed(1)} |`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
