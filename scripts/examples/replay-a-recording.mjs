// Replays a recording of a Go program and says what it cost: the races as Go prints them, and the shadow under a policy. Run it
// with `node scripts/examples/replay-a-recording.mjs [recording] [policy]`; without one it takes the package's own, of a heap that grows.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { formatReport, formatSummary, replayTrace, Shadow, TraceReader } from 'lazyshadow';

const home = dirname(createRequire(import.meta.url).resolve('lazyshadow/package.json'));
const [path = join(home, 'data', 'heapgrow.trc.gz'), policy = 'touch'] = process.argv.slice(2);
const inMiB = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

const reader = await TraceReader.open(path);
const shadow = new Shadow({ policy });
try {
  const { events, goroutines, reports, racyAddresses, symbols } = await replayTrace(reader, shadow);
  for (const report of reports)
    process.stdout.write(formatReport(report, { symbolize: (pc) => symbols.frames(pc), withLocation: true }));
  process.stdout.write(formatSummary(reports.length));
  const { mappedBytes, committedBytes, residentBytes } = shadow.stats();
  console.log(`${events} events of ${goroutines} goroutines; ${racyAddresses.length} bytes raced on`);
  console.log(
    `${policy}: ${inMiB(mappedBytes)} mapped; of its shadow ${inMiB(committedBytes)} committed, ` +
      `${inMiB(residentBytes)} resident`,
  );
} finally {
  shadow.release();
  await reader.close();
}
