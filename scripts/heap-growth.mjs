// A heap that grows to 1 GiB (or to as many MiB as the first argument says) by large objects of which every page is
// written, under lazy and touch shadow: what Go's MemStats and the shadow's stats say, beside what the operating
// system counts for the same memory and for the whole process. Exits 1 if they disagree.

import { Heap } from '../dist/esm/heap/heap.js';
import { shadowHooks } from '../dist/esm/heap/shadow-hooks.js';
import { processMemory, Shadow } from '../dist/esm/index.js';
import { heapSteps } from '../dist/esm/measure/heap-workloads.js';
import { SEGMENT_BYTES } from '../dist/esm/shadow/segment.js';
import { windowsOf } from '../dist/esm/shadow/shadow.js';

const MiB = 2 ** 20;
const heapBytes = Number(process.argv[2] ?? 1024) * MiB;
const ROWS = 8;
/** A program that looks at one granule of each of these. */
const ACCESS_STRIDE_BYTES = 64 * 1024;

const mib = (bytes) => (bytes / MiB).toFixed(1).padStart(9);
let wrong = 0;

/** Writes the shadow of an address as a detector would. */
function accessor(shadow) {
  const memory = windowsOf(shadow);
  return (address, sizeBytes) => {
    for (let at = address; at < address + sizeBytes; at += ACCESS_STRIDE_BYTES) {
      const segment = memory.segment(Math.floor(at / SEGMENT_BYTES));
      const word = ((at % SEGMENT_BYTES) >> 3) * memory.wordsPerGranule;
      memory.touchShadow(segment, word * 4, memory.wordsPerGranule * 4);
      segment.shadow[word] = 1;
    }
  };
}

for (const policy of ['lazy', 'touch']) {
  const before = processMemory();
  const shadow = new Shadow({ policy });
  const heap = new Heap({ race: shadowHooks(shadow), scavenger: false, releaseShadow: true });
  const row = (what) => {
    const stats = heap.memStats();
    const { committedBytes, osCommittedBytes, residentBytes } = heap.verify();
    const s = shadow.stats();
    const now = processMemory();
    console.log(
      `${what.padEnd(10)}${[
        stats.HeapSys,
        stats.HeapInuse,
        stats.HeapReleased,
        stats.Sys,
        osCommittedBytes,
        residentBytes,
        s.committedBytes,
        s.osCommittedBytes,
        s.residentBytes,
        now.residentBytes - before.residentBytes,
        now.commitBytes === null ? 0 : now.commitBytes - before.commitBytes,
      ]
        .map(mib)
        .join('')}`,
    );
    if (committedBytes !== osCommittedBytes || s.committedBytes !== s.osCommittedBytes) wrong++;
  };
  console.log(`\n${policy} shadow, all in MiB\n`);
  console.log(
    `${' '.repeat(10)}|-- MemStats -----------------------|-- OS: heap ---|-- shadow: own, OS -------|-- process -----`,
  );
  console.log(
    `${' '.repeat(10)}${[
      'HeapSys',
      'Inuse',
      'Released',
      'Sys',
      'commit',
      'resident',
      'commit',
      'commit',
      'resident',
      'RSS',
      'commit',
    ]
      .map((word) => word.padStart(9))
      .join('')}`,
  );
  row('start');
  let rows = 1;
  for (const done of heapSteps('heap-large')({ heap, access: accessor(shadow) }, heapBytes)) {
    if (done < rows / ROWS) continue;
    row(`${Math.round(done * 100)} %`);
    rows = Math.floor(done * ROWS) + 1;
  }
  heap.release();
  console.log(`heap released: shadow ${mib(shadow.stats().committedBytes).trim()} MiB committed`);
  shadow.release();
}
console.log(
  wrong === 0 ? '\nEvery row agrees with the operating system to the byte.' : `\n${wrong} rows disagree.`,
);
process.exitCode = wrong === 0 ? 0 : 1;
