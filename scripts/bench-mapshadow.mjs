// What mapShadow costs beyond the system calls it must make: 64 KiB calls that extend the mapped range, under `lazy`,
// against a loop in C (scripts/mprotect-loop.c) that makes the same system calls on the same spans in the same order.
//
//     node scripts/bench-mapshadow.mjs [--json] [--calls N] [--rounds N] [--processes N]
//
// Both run in turns, for the machine may change its mind about its speed, and what is compared is processor time, for
// other programs may want it too. A process gives the median of its rounds' ratios, and what counts is the median of the
// processes: where Linux keeps the two mappings that mprotect moves memory between in different nodes of its tree (in
// one process out of eight, by chance) each mprotect takes 2.2 times as long, in C too. The limit is 1.15; the exit code
// is 1 above it. Needs a C compiler (cc).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { layoutByName, Shadow } from 'lazyshadow';
import { median } from './statistics.mjs';

/** What the project promises. */
const LIMIT = 1.15;
const CALL_BYTES = 64 * 1024;
/** Rounds at the start of a process that do not count: V8 compiles meanwhile. */
const WARM_UP = 5;

const LAYOUTS = {
  'node-x4': layoutByName('node-x4'),
  'node-x4 without metainfo': { ...layoutByName('node-x4'), name: 'shadow-only', metainfo: null },
};

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    calls: { type: 'string', default: '4096' },
    rounds: { type: 'string', default: '11' },
    processes: { type: 'string', default: '7' },
    // How this script starts itself: the layout, and the program to compare with.
    layout: { type: 'string' },
    loop: { type: 'string' },
  },
});
const calls = Number(values.calls);
const rounds = Number(values.rounds);
const script = fileURLToPath(import.meta.url);

/** Processor time of the loop in C, nanoseconds a call, for the planes of a shadow that has just been released. */
function timeRaw(planes) {
  const words = planes.flatMap(({ address, sizeBytes, first, step }) => [address, sizeBytes, first, step]);
  return Number(execFileSync(values.loop, [calls, ...words].map(String), { encoding: 'utf8' }));
}

/** Processor time of mapShadow, nanoseconds a call, all of Node's threads included; and the planes it worked on. */
function timeMapShadow(layout) {
  const shadow = new Shadow({ layout, policy: 'lazy' });
  const { start } = shadow.layout.application.at(-1);
  const end = start + calls * CALL_BYTES;
  const begin = process.cpuUsage();
  for (let at = start; at < end; at += CALL_BYTES) shadow.mapShadow(at, CALL_BYTES);
  const { user, system } = process.cpuUsage(begin);

  const firsts = [shadow.memToShadow(start)];
  if (layout.metainfo !== null) firsts.push(shadow.memToMetainfo(start));
  const planes = firsts.map((first, i) => {
    const { address, sizeBytes } = shadow.spans.find(
      (span) => first >= span.address && first < span.address + span.sizeBytes,
    );
    const step = i === 0 ? CALL_BYTES * shadow.layout.shadow.multiplier : CALL_BYTES / 2;
    return { address, sizeBytes, first, step };
  });
  shadow.release();
  return { ns: ((user + system) * 1000) / calls, planes };
}

/** What one process measures. */
function measure(layout) {
  const mapShadowNs = [];
  const rawNs = [];
  for (let round = -WARM_UP; round < rounds; round++) {
    const { ns, planes } = timeMapShadow(layout);
    const raw = timeRaw(planes);
    if (round < 0) continue;
    mapShadowNs.push(ns);
    rawNs.push(raw);
  }
  return {
    mapShadowNs: median(mapShadowNs),
    rawNs: median(rawNs),
    ratio: median(mapShadowNs.map((ns, i) => ns / rawNs[i])),
  };
}

/** The median of what several processes measure. */
function measureInProcesses(layout, loop) {
  const options = ['--calls', values.calls, '--rounds', values.rounds, '--layout', layout, '--loop', loop];
  const results = Array.from({ length: Number(values.processes) }, () =>
    JSON.parse(execFileSync(process.execPath, [script, ...options], { encoding: 'utf8' })),
  );
  const [mapShadowNs, rawNs, ratio] = ['mapShadowNs', 'rawNs', 'ratio'].map((field) =>
    median(results.map((result) => result[field])),
  );
  return { layout, mapShadowNs, rawNs, ratio, ratios: results.map((result) => result.ratio) };
}

function main() {
  const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-bench-'));
  try {
    const loop = join(directory, 'mprotect-loop');
    const source = fileURLToPath(new URL('mprotect-loop.c', import.meta.url));
    execFileSync('cc', ['-O2', '-o', loop, source], { stdio: ['ignore', 'inherit', 'inherit'] });
    const results = Object.keys(LAYOUTS).map((layout) => measureInProcesses(layout, loop));
    if (values.json) {
      const { processes } = values;
      const settings = { calls, rounds, processes: Number(processes), callBytes: CALL_BYTES, limit: LIMIT };
      console.log(JSON.stringify({ ...settings, results }, undefined, 2));
    } else {
      for (const { layout, mapShadowNs, rawNs, ratio } of results) {
        const verdict = ratio <= LIMIT ? 'within' : 'BEYOND';
        console.log(
          `${layout}: mapShadow ${mapShadowNs.toFixed(0)} ns a call, mprotect in C ${rawNs.toFixed(0)} ns: ` +
            `${ratio.toFixed(3)} times, ${verdict} ${LIMIT}`,
        );
      }
    }
    process.exitCode = results.every(({ ratio }) => ratio <= LIMIT) ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (values.layout === undefined) main();
else console.log(JSON.stringify(measure(LAYOUTS[values.layout])));
