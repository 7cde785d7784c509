// Whether an event costs the same however long a program runs and however many goroutines it has: recordings made for
// the purpose, replayed by this runtime and by Go's.
//
//     node scripts/bench/growth.mjs [--events 1e5,1e6,1e7] [--goroutines 10,100,1000,10000]
//
// The goroutines of such a program live all at once and take turns. In a turn one locks a mutex that it shares with the
// neighbours, calls a function that reads and writes what the mutex guards and memory of its own, and unlocks it.
// Times are CPU time of a first replay, from the file, while which V8 compiles; and what later replays settle at, as
// replay-once.mjs has it, for recordings that are kept in memory as easily: 10^8 events are a file of 3.2 GB.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildNative, root } from './recordings.mjs';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1e5,1e6,1e7' },
    goroutines: { type: 'string', default: '10,100,1000,10000' },
  },
});
const OP = {
  initialize: 1,
  mapShadow: 3,
  goStart: 4,
  read: 6,
  write: 8,
  enter: 12,
  exit: 13,
  acquire: 16,
  release: 17,
};
const EVENT_BYTES = 32;
/** No more than this is replayed a second time. */
const WARM_EVENTS = 1e7;
const CHUNK_EVENTS = 65_536;
const HEAP = 0xc0_0000_0000;
const HEAP_BYTES = 128 * 2 ** 20;
/** Memory of a goroutine's own, which it goes round and round in, and what it uses of it in a turn. */
const OWN_BYTES = 4096;
const TURN_BYTES = 32;
/** Goroutines that share a mutex with the one before them. */
const NEIGHBOURS = 8;
const PC = 0x450000;

/** All events, as { op, goroutine, address, argument, pc }. */
function* program(events, goroutines) {
  let made = 0;
  const event = (op, goroutine, address = 0, argument = 0, pc = 0) => {
    made++;
    return { op, goroutine, address, argument, pc };
  };
  yield event(OP.initialize, 1);
  yield event(OP.mapShadow, 1, HEAP, HEAP_BYTES);
  for (let g = 2; g < goroutines + 2; g++) yield event(OP.goStart, 1, 0, g, PC);
  for (let turn = 0; made < events; turn++) {
    const index = turn % goroutines;
    const round = Math.floor(turn / goroutines);
    const goroutine = index + 2;
    const shared = HEAP + Math.floor((index + (round % 2) * (NEIGHBOURS / 2)) / NEIGHBOURS) * 64;
    const own = HEAP + HEAP_BYTES / 2 + index * OWN_BYTES + ((round * 8) % (OWN_BYTES - TURN_BYTES));
    yield event(OP.acquire, goroutine, shared);
    yield event(OP.enter, goroutine, 0, 0, PC + 16 * (1 + (turn % 7)));
    yield event(OP.read, goroutine, shared + 8, 0, PC + 32);
    yield event(OP.write, goroutine, shared + 8, 0, PC + 36);
    for (let i = 0; i < TURN_BYTES; i += 8) {
      yield event(OP.write, goroutine, own + i, 0, PC + 40);
      yield event(OP.read, goroutine, own + i, 0, PC + 44);
    }
    yield event(OP.exit, goroutine);
    yield event(OP.release, goroutine, shared);
  }
}

/** Writes a recording with no symbols; how many events it has. */
function write(file, events, goroutines) {
  const out = openSync(file, 'w');
  const chunk = Buffer.alloc(CHUNK_EVENTS * EVENT_BYTES);
  let count = 0;
  writeSync(out, Buffer.alloc(64));
  for (const { op, goroutine, address, argument, pc } of program(events, goroutines)) {
    const at = (count++ % CHUNK_EVENTS) * EVENT_BYTES;
    chunk.writeUInt32LE(op | (op === OP.read || op === OP.write ? 1 << 16 : 0), at);
    chunk.writeUInt32LE(goroutine, at + 4);
    for (const [i, value] of [address, argument, pc].entries()) {
      chunk.writeUInt32LE(value % 2 ** 32, at + 8 + 8 * i);
      chunk.writeUInt32LE(Math.floor(value / 2 ** 32), at + 12 + 8 * i);
    }
    if (count % CHUNK_EVENTS === 0) writeSync(out, chunk);
  }
  writeSync(out, chunk, 0, (count % CHUNK_EVENTS) * EVENT_BYTES);
  const header = Buffer.alloc(64);
  header.write('RACETRC1', 'latin1');
  for (const [at, value] of [
    [8, 1],
    [16, count],
    [24, 64 + EVENT_BYTES * count],
  ])
    header.writeBigUInt64LE(BigInt(value), at);
  writeSync(out, header, 0, header.length, 0);
  closeSync(out);
}

const scratch = mkdtempSync(join(tmpdir(), 'lazyshadow-growth-'));
try {
  const native = buildNative(scratch);
  console.log(
    '| events | goroutines | cold ns | ns an event | native | native / ours |\n| --- | --- | --- | --- | --- | --- |',
  );
  const numbers = (text) => text.split(',').map(Number);
  const goroutines = numbers(values.goroutines);
  const events = numbers(values.events);
  const cells = [
    ...events.map((count) => [count, goroutines[0]]),
    ...goroutines.slice(1).map((count) => [events.at(-1), count]),
  ];
  for (const [eventCount, goroutineCount] of cells) {
    const file = join(scratch, 'growth.trc');
    write(file, eventCount, goroutineCount);
    const run = (program, args) =>
      JSON.parse(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
    const replayOnce = [join(root, 'scripts/bench/replay-once.mjs'), join(root, 'dist'), 'touch', file];
    const { cold, warm } = run(process.execPath, [
      ...replayOnce,
      ...(eventCount > WARM_EVENTS ? ['cold'] : []),
    ]);
    const taken = native === undefined ? undefined : run(native, [file]);
    const ns = taken && taken.cpuNs / taken.events;
    const ratio = ns && (ns / (warm ?? cold)).toFixed(2);
    const row = [eventCount, goroutineCount, cold.toFixed(1), warm?.toFixed(1), ns?.toFixed(1), ratio];
    console.log(`| ${row.map((cell) => cell ?? '–').join(' | ')} |`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
