// One recording, replayed under one policy in this process, for scripts/bench.mjs. Prints one line of JSON.
//
//     node scripts/bench/replay-once.mjs POLICY FILE
//
// `cold` is the first replay of the process, from the file, as `lazyshadow replay` runs it: V8 compiles while it goes on.
// `warm` is what events cost from then on, with the recording in memory as the native runtime has it: again and again until
// enough events have gone by, the best of these. Either is CPU time of the process, with checking the
// recording, with its symbols, and with what V8's other threads do.
import { readFileSync } from 'node:fs';
import { Shadow, TraceReader, replayTrace } from '../../dist/esm/index.js';

/** Events that a warm figure rests on. */
const WARM_EVENTS = 2_000_000;
const LEAST_ROUNDS = 3;
const MOST_ROUNDS = 500;

const [policy, file] = process.argv.slice(2);

async function replay(source) {
  const shadow = new Shadow({ policy });
  const reader = await TraceReader.open(source);
  const start = process.cpuUsage();
  const { events } = await replayTrace(reader, shadow);
  const { user, system } = process.cpuUsage(start);
  const { committedBytes } = shadow.stats();
  const peakRssBytes = peakRss();
  shadow.release();
  await reader.close();
  return { events, committedBytes, peakRssBytes, nsPerEvent: ((user + system) * 1000) / events };
}

/**
 * The most that was resident. Not from getrusage, which on Linux begins with what the parent had.
 */
function peakRss() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024;
}

const first = await replay(file);
const bytes = readFileSync(file);
let warm = Infinity;
for (
  let done = 0, round = 0;
  round < MOST_ROUNDS && (round < LEAST_ROUNDS || done < WARM_EVENTS);
  done += first.events, round++
) {
  warm = Math.min(warm, (await replay(bytes)).nsPerEvent);
}
const { nsPerEvent: cold, ...rest } = first;
console.log(JSON.stringify({ ...rest, cold, warm }));
