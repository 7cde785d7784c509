// One recording, replayed under one policy in this process, for scripts/bench.mjs. Prints one line of JSON.
//
//     node scripts/bench/replay-once.mjs DIST POLICY FILE [cold]
//
// `cold` is the first replay of the process, from the file, as `lazyshadow replay` runs it: V8 compiles while it goes on.
// `warm` is what events cost from then on, with the recording in memory as the native runtime has it: again and again until
// enough events have gone by; the median of the second half of these. Either is CPU time of the process (that of V8's other
// threads too), with the checking of every event and the reports, and without the symbol text, which the native
// runtime does not read: it is read before the clock starts. With `cold` only that is measured, in the memory of one batch however long the recording is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** That of `lazyshadow replay`, by its name, since DIST may be of a commit that has no constant for it. */
const LAYOUT = 'node-x2';

/** Events that a warm figure rests on, and bounds for the replays that this makes: V8 still compiles in crawl's twelfth. */
const WARM_EVENTS = 3_000_000;
const LEAST_ROUNDS = 20;
const MOST_ROUNDS = 500;

const [dist, policy, file, only] = process.argv.slice(2);
const { Shadow, TraceReader, replayTrace } = await import(pathToFileURL(join(dist, 'esm/index.js')).href);

async function replay(source) {
  const shadow = new Shadow({ policy, layout: LAYOUT });
  const reader = await TraceReader.open(source);
  const { eventCount } = reader.header;
  await reader.symbols();
  const start = process.cpuUsage();
  await replayTrace(reader, shadow);
  const taken = process.cpuUsage(start);
  const { committedBytes, residentBytes } = shadow.stats();
  const peakRssBytes = peakRss();
  shadow.release();
  await reader.close();
  const nsPerEvent = ((taken.user + taken.system) * 1000) / eventCount;
  return { events: eventCount, committedBytes, residentBytes, peakRssBytes, nsPerEvent };
}

/** The most that was resident. Not from getrusage, which on Linux begins with what the parent had. */
function peakRss() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024;
}

const baseRssBytes = peakRss();
const first = await replay(file);
const { nsPerEvent: cold, ...rest } = first;
const warm = only === 'cold' ? undefined : await settled(readFileSync(file));
console.log(JSON.stringify({ ...rest, baseRssBytes, cold, warm }));

/** What later replays settle at. */
async function settled(bytes) {
  const rounds = Math.min(MOST_ROUNDS, Math.max(LEAST_ROUNDS, Math.ceil(WARM_EVENTS / first.events)));
  const times = [];
  for (let round = 0; round < rounds; round++) times.push((await replay(bytes)).nsPerEvent);
  const later = times.slice(rounds >> 1).sort((a, b) => a - b);
  return later[later.length >> 1];
}
