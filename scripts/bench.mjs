// `npm run bench`: what an event costs, for each recording and policy, and how that compares with Go's own race runtime;
// what MapShadow costs beside the bare system call, the heap beside the C library's, and a shadow's start.
//
//     npm run bench -- [--json] [--write] [--rounds N] [--policy P,P] [RECORDING ...]
//     npm run bench -- --against COMMIT [RECORDING ...]      this checkout and another commit, in turns
//     npm run bench -- --check | --record                    the short form, which CI runs
//
// RECORDINGs are files, plain or packed with gzip or brotli; without any, those that the repository keeps. Each
// measurement is a process of its own; rounds are interleaved, so that whatever else the machine does meets all of
// them alike; a figure is the median of the rounds. Times are CPU time.
//
// The native column needs Go and a C compiler: scripts/bench/native-replay.c is linked with the race runtime that
// `go build -race` would link in. The ratio is native time by our warm time: above 1 we are faster.
//
// --write puts the tables into docs/performance.md and README.md. --check compares the ratios with those that --record
// wrote into scripts/bench/ratios.json on a machine of the same kind, and exits 1 if ours is 1.5 times as slow as it was.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildCommit } from './bench/commit.mjs';
import { buildNative, keptRecordings, root, unpacked } from './bench/recordings.mjs';
import { againstTable, replayTable, startUpTable, writeTables } from './bench/tables.mjs';
import { ratiosHere, recordRatios } from './bench/ratios.mjs';
import { geometricMean, median } from './statistics.mjs';

/** How much slower than recorded fails the check: more than a busy machine does to a geometric mean of ratios. */
const SLOWDOWN = 1.5;
const REPLAY = join(root, 'scripts/bench/replay-once.mjs');
const DIST = join(root, 'dist');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    against: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    policy: { type: 'string', default: 'eager,unreserved,lazy,touch' },
  },
});
const rounds = Number(values.rounds);
const scratch = mkdtempSync(join(tmpdir(), 'lazyshadow-bench-'));
try {
  const recordings = (positionals.length > 0 ? positionals : keptRecordings()).map((file) =>
    unpacked(file, scratch),
  );
  if (values.against !== undefined) against(values.against, recordings);
  else if (values.check || values.record) check(recordings);
  else all(recordings);
} finally {
  rmSync(scratch, { recursive: true });
}

function all(recordings) {
  const policies = values.policy.split(',');
  const replays = replayed(recordings, policies, buildNative(scratch));
  const startUps = policies.map((policy) => ({ policy, ...startUp(policy) }));
  const mapShadow = script('bench-mapshadow.mjs', '--json').results;
  const heap = script('bench-heap.mjs', '--json');
  if (values.json) console.log(JSON.stringify({ replays, startUps, mapShadow, heap }, undefined, 1));
  else console.log(`${replayTable(replays)}\n\n${startUpTable(startUps, mapShadow, heap)}`);
  if (values.write) writeTables(replays, startUps, mapShadow, heap);
}

/** Each recording under each policy, and by the native runtime if it is there: medians. */
function replayed(recordings, policies, native) {
  const samples = inTurns(recordings, ({ file }) => [
    ...policies.map((policy) => () => json(process.execPath, [REPLAY, DIST, policy, file])),
    ...(native === undefined ? [] : [() => json(native, [file])]),
  ]);
  return recordings.map(({ name }, i) => {
    const natively = native === undefined ? undefined : samples[i].pop();
    const nativeNs = natively && median(natively.map(({ cpuNs, events }) => cpuNs / events));
    return {
      name,
      events: samples[i][0][0].events,
      native: natively && {
        nsPerEvent: nativeNs,
        peakRssBytes: median(natively.map(({ peakRssBytes }) => peakRssBytes)),
        firstTouchNs: median(natively.map(({ firstTouchNs }) => firstTouchNs)),
      },
      policies: policies.map((policy, k) => {
        const of = (field) => median(samples[i][k].map((sample) => sample[field]));
        const nsPerEvent = of('warm');
        return {
          policy,
          coldNsPerEvent: of('cold'),
          nsPerEvent,
          eventsPerSecond: 1e9 / nsPerEvent,
          peakRssBytes: of('peakRssBytes'),
          baseRssBytes: of('baseRssBytes'),
          committedBytes: of('committedBytes'),
          residentBytes: of('residentBytes'),
          ratio: nativeNs && nativeNs / nsPerEvent,
        };
      }),
    };
  });
}

/** The short form: ratios to the native runtime, as they are recorded or against those that were. */
function check(recordings) {
  const native = buildNative(scratch);
  if (native === undefined) throw new Error('the check needs Go and a C compiler on Linux, x64');
  const results = replayed(recordings, ['touch'], native);
  const now = Object.fromEntries(results.map(({ name, policies: [{ ratio }] }) => [name, ratio]));
  const firstTouchNs = median(results.map(({ native }) => native.firstTouchNs));
  if (values.record) return recordRatios(firstTouchNs, now);
  const recorded = ratiosHere(firstTouchNs);
  console.log(`the first write to a page takes ${firstTouchNs} ns: ${recorded.of}`);
  const slowdowns = Object.entries(now).map(([name, ratio]) => {
    console.log(`${name}: ${ratio.toFixed(2)} times native, recorded as ${recorded.ratios[name]}`);
    return recorded.ratios[name] / ratio;
  });
  const slowdown = geometricMean(slowdowns);
  const verdict = slowdown < SLOWDOWN ? 'within' : 'BEYOND';
  console.log(`${slowdown.toFixed(2)} times as slow as recorded (geometric mean), ${verdict} ${SLOWDOWN}`);
  process.exitCode = slowdown < SLOWDOWN ? 0 : 1;
}

function against(commit, recordings) {
  const other = buildCommit(commit, scratch);
  try {
    const once = (dist, file) => () => json(process.execPath, [REPLAY, dist, 'touch', file]);
    const samples = inTurns(recordings, ({ file }) => [once(other.dist, file), once(DIST, file)]);
    const rows = recordings.map(({ name }, i) => {
      const [before, after] = samples[i].map((taken) => median(taken.map(({ warm }) => warm)));
      return { name, before, after };
    });
    console.log(values.json ? JSON.stringify(rows, undefined, 1) : againstTable(rows, commit));
  } finally {
    other.remove();
  }
}

/** For each item what its runs give, round by round. */
function inTurns(items, runsOf) {
  const runs = items.map(runsOf);
  const samples = runs.map((each) => each.map(() => []));
  for (let round = 0; round < rounds; round++)
    for (const [i, each] of runs.entries()) for (const [k, run] of each.entries()) samples[i][k].push(run());
  return samples;
}

function startUp(policy) {
  const once = () => json(process.execPath, [join(root, 'scripts/bench/start-up-once.mjs'), policy]);
  const samples = Array.from({ length: rounds }, once);
  const of = (field) => median(samples.map((sample) => sample[field]));
  return { ms: of('ms'), virtualBytes: of('virtualBytes'), residentBytes: of('residentBytes') };
}

/** What another benchmark found; its verdict, the exit code, is left to whoever asks that one alone. */
function script(name, ...args) {
  const path = join(root, 'scripts', name);
  const stdio = ['ignore', 'pipe', 'inherit'];
  return JSON.parse(spawnSync(process.execPath, [path, ...args], { encoding: 'utf8', stdio }).stdout);
}

function json(program, args) {
  // Standard error is where the native runtime puts its reports.
  return JSON.parse(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
}
