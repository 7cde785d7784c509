// How much slower a program runs while it is recorded than under plain -race: the table of docs/recording.md.
// Each round runs a program both ways, one after the other; the table has the median of the rounds' ratios.
//     npm run build && node scripts/record-overhead.mjs [rounds]
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './statistics.mjs';

const PROGRAMS = ['sort', 'pipeline', 'web'];
const rounds = Number(process.argv[2] ?? 9);
const main = fileURLToPath(new URL('../dist/esm/cli/main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-overhead-'));
const recording = join(directory, 'x.trc');

function build(name) {
  const source = fileURLToPath(new URL(`overhead/${name}/main.go`, import.meta.url));
  const [plain, recorded] = ['plain', 'recorded'].map((kind) => join(directory, `${name}-${kind}`));
  execFileSync('go', ['build', '-race', '-o', plain, source]);
  const command = ['record', '--build-only', '--', 'go', 'build', '-o', recorded, source];
  execFileSync(process.execPath, [main, ...command], { stdio: 'ignore' });
  return { plain, recorded };
}

/** Milliseconds of one run. Go otherwise sleeps for a second at the end of each. */
function time(program, variables = {}) {
  const start = performance.now();
  const { status } = spawnSync(program, {
    stdio: 'ignore',
    env: { ...process.env, GORACE: 'atexit_sleep_ms=0', ...variables },
  });
  if (status !== 0) throw new Error(`${program} ended with ${status}`);
  return performance.now() - start;
}

/** From the header: the recording may be larger than what can be read at once. */
function eventCount(path) {
  const field = Buffer.alloc(8);
  const file = openSync(path);
  readSync(file, field, 0, 8, 16);
  closeSync(file);
  return Number(field.readBigUInt64LE());
}

try {
  console.log('program     -race  built for it  recorded  times slower (least–most)      events  ns/event');
  for (const name of PROGRAMS) {
    const { plain, recorded } = build(name);
    const runs = Array.from({ length: rounds }, () => ({
      plain: time(plain),
      idle: time(recorded),
      recorded: time(recorded, { LAZYSHADOW_RECORD: recording }),
    }));
    const ratios = runs.map((run) => run.recorded / run.plain);
    const [plainMs, idleMs, recordedMs] = ['plain', 'idle', 'recorded'].map((kind) =>
      median(runs.map((run) => run[kind])),
    );
    const events = eventCount(recording);
    console.log(
      name.padEnd(9),
      `${plainMs.toFixed(0)} ms`.padStart(8),
      `${idleMs.toFixed(0)} ms`.padStart(13),
      `${recordedMs.toFixed(0)} ms`.padStart(9),
      `${median(ratios).toFixed(1)} (${Math.min(...ratios).toFixed(1)}–${Math.max(...ratios).toFixed(1)})`.padStart(
        27,
      ),
      events.toLocaleString('en-US').padStart(11),
      ((1e6 * (recordedMs - plainMs)) / events).toFixed(0).padStart(9),
    );
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
