// `npm run bench`: what an event costs, for each recording and policy, and how that compares with Go's own race runtime.
//
//     npm run bench -- [--json] [--rounds N] [--policy P,P] [RECORDING ...]
//
// RECORDINGs are files, plain or packed with gzip or brotli; without any, the programs that the repository keeps. Each
// measurement is a process of its own; rounds are interleaved, so that whatever else the machine does meets all of
// them alike; a figure is the median of the rounds. Times are CPU time.
//
// The native column needs Go and a C compiler: scripts/bench/native-replay.c is linked with the race runtime that
// `go build -race` would link in. The ratio is native time by our warm time: above 1 we are faster.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('..', import.meta.url));
const MIB = 2 ** 20;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    policy: { type: 'string', default: 'eager,unreserved,lazy,touch' },
  },
});
const policies = values.policy.split(',');
const scratch = mkdtempSync(join(tmpdir(), 'lazyshadow-bench-'));
try {
  const native = buildNative();
  const rows = files().map((file) => ({ name: basename(file).replace(/\..*/, ''), file: unpacked(file) }));
  const samples = rows.map(() => ({ native: [], policies: policies.map(() => []) }));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [i, { file }] of rows.entries()) {
      const own = join(root, 'scripts/bench/replay-once.mjs');
      for (const [k, policy] of policies.entries())
        samples[i].policies[k].push(run(process.execPath, [own, policy, file]));
      if (native !== undefined) samples[i].native.push(run(native, [file]));
    }
  }
  const results = rows.map(({ name }, i) => summary(name, samples[i]));
  if (values.json) console.log(JSON.stringify(results, undefined, 1));
  else print(results);
} finally {
  rmSync(scratch, { recursive: true });
}

/** Links Go's race runtime into a program; undefined where that cannot be done. */
function buildNative() {
  try {
    const goroot = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8' }).trim();
    const object = join(goroot, 'src/runtime/race/race_linux_amd64.syso');
    if (!existsSync(object) || process.platform !== 'linux' || process.arch !== 'x64') return undefined;
    const program = join(scratch, 'native-replay');
    execFileSync('cc', ['-O2', join(root, 'scripts/bench/native-replay.c'), object, '-o', program, '-lm']);
    return program;
  } catch (error) {
    console.error(`no native column: ${error.message}`);
    return undefined;
  }
}

function files() {
  if (positionals.length > 0) return positionals;
  const programs = join(root, 'test/data/programs');
  return [
    join(root, 'data/heapgrow.trc.gz'),
    ...readdirSync(programs).map((file) => join(programs, file)),
  ].filter((file) => /\.trc(\.|$)/.test(file));
}

/** The recording as a plain file, which the native runtime's program wants. */
function unpacked(file) {
  const unpack = file.endsWith('.br') ? brotliDecompressSync : file.endsWith('.gz') ? gunzipSync : undefined;
  if (unpack === undefined) return file;
  const plain = join(scratch, basename(file).replace(/\.(br|gz)$/, ''));
  writeFileSync(plain, unpack(readFileSync(file)));
  return plain;
}

function run(program, args) {
  // Standard error is where the native runtime puts its reports.
  return JSON.parse(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
}

function summary(name, samples) {
  const [{ events }] = samples.policies[0];
  const native =
    samples.native.length === 0
      ? undefined
      : {
          nsPerEvent: median(samples.native, (sample) => sample.cpuNs / sample.events),
          peakRssBytes: median(samples.native, (sample) => sample.peakRssBytes),
        };
  return {
    name,
    events,
    native,
    policies: policies.map((policy, k) => {
      const of = (value) => median(samples.policies[k], value);
      const warm = of((sample) => sample.warm);
      return {
        policy,
        coldNsPerEvent: of((sample) => sample.cold),
        nsPerEvent: warm,
        eventsPerSecond: 1e9 / warm,
        peakRssBytes: of((sample) => sample.peakRssBytes),
        committedBytes: of((sample) => sample.committedBytes),
        ...(native === undefined ? {} : { ratio: native.nsPerEvent / warm }),
      };
    }),
  };
}

function median(samples, value) {
  const sorted = samples.map(value).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function print(results) {
  const line = (...cells) =>
    console.log(cells.map((cell, i) => (i < 2 ? cell.padEnd(12) : cell.padStart(10))).join(''));
  const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;
  line(
    'recording',
    'policy',
    'events',
    'cold ns',
    'ns/event',
    'M ev/s',
    'peak RSS',
    'committed',
    'native/us',
  );
  for (const { name, events, native, policies: rows } of results) {
    for (const row of rows) {
      line(
        name,
        row.policy,
        String(events),
        row.coldNsPerEvent.toFixed(1),
        row.nsPerEvent.toFixed(1),
        (row.eventsPerSecond / 1e6).toFixed(1),
        mib(row.peakRssBytes),
        mib(row.committedBytes),
        row.ratio?.toFixed(2) ?? '',
      );
    }
    if (native !== undefined) {
      const { nsPerEvent, peakRssBytes } = native;
      line(name, 'native', String(events), '', nsPerEvent.toFixed(1), '', mib(peakRssBytes), '', '');
    }
  }
  if (results.some(({ native }) => native === undefined)) return;
  for (const [k, policy] of policies.entries()) {
    const logs = results.map(({ policies: rows }) => Math.log(rows[k].ratio));
    const mean = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
    console.log(`${policy}: ${mean.toFixed(2)} times native (geometric mean)`);
  }
}
