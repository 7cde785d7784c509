// Watches the memory of four processes grow, one for each policy: the same program, the same shadow, the same cells.
// What differs is what the system has promised; what is in memory does not. Run it with `node scripts/examples/watch-rss.mjs`.
import { measure, POLICIES } from 'lazyshadow';

const MiB = 2 ** 20;
const heapBytes = Number(process.argv[2] ?? 1024) * MiB;
/** Rows of the table: at each of so many equal parts of the heap. */
const ROWS = 8;

const charge = (sample) => sample.processCommitBytes ?? 0; // there is none on macOS
const cell = (bytes) => `${(bytes / MiB).toFixed(0)} MiB`.padStart(11);
const latest = new Map();
let row = 1;

console.log('heap'.padStart(9) + POLICIES.map((policy) => `${policy}: RSS, charge`.padStart(24)).join(''));
const { policies } = await measure({
  workload: 'sparse', // touches 8 bytes in each 128 KiB, as programs with large buffers do
  heapBytes,
  atOnce: true,
  durationMs: 2000, // so that they keep step
  onSample(policy, sample) {
    latest.set(policy, sample);
    const slowest = Math.min(...POLICIES.map((each) => latest.get(each)?.heapBytes ?? 0));
    if (slowest < (heapBytes * row) / ROWS) return;
    row = Math.floor((slowest * ROWS) / heapBytes) + 1;
    print(slowest, latest);
  },
});

function print(heap, samples) {
  const columns = POLICIES.map((policy) => {
    const sample = samples.get(policy);
    return `  ${cell(sample.processResidentBytes)}${cell(charge(sample))}`;
  });
  console.log(cell(heap).slice(-9) + columns.join(''));
}

for (const { policy, final } of policies) {
  const times = (final.committedBytes / final.residentBytes).toFixed(1);
  console.log(`${policy.padEnd(11)} committed ${times} times the shadow that it used`);
}
