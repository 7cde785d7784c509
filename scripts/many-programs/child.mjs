// One of the programs of scripts/many-programs.mjs: takes its memory, says what that costs, and keeps it until its
// standard input ends.
//
//     node child.mjs heap|replay POLICY HEAP_MIB BLOCK_KIB
import { fileURLToPath } from 'node:url';
import {
  Heap,
  LazyShadowError,
  processMemory,
  replayTrace,
  Shadow,
  TraceReader,
} from '../../dist/esm/index.js';
import { shadowHooks } from '../../dist/esm/heap/shadow-hooks.js';
import { CellWriter } from '../../dist/esm/measure/cell-writer.js';
import { windowsOf } from '../../dist/esm/shadow/shadow.js';

const [program, policy, heapMiB, blockKiB] = process.argv.slice(2);
const blockBytes = Number(blockKiB) * 1024;

/** A heap in which the first and the last byte of each block were written, and checked. */
function fillHeap(shadow) {
  const heap = new Heap({ race: shadowHooks(shadow), scavenger: false });
  const cells = new CellWriter(windowsOf(shadow));
  for (let bytes = 0; bytes < heapMiB * 2 ** 20; bytes += blockBytes) {
    const block = heap.malloc(blockBytes);
    const view = heap.bytes(block, blockBytes);
    for (const at of [0, blockBytes - 1]) {
      view[at] = 1;
      cells.access(block + at, 1);
    }
  }
  return heap;
}

async function replay(shadow) {
  const recording = fileURLToPath(new URL('../../data/heapgrow.trc.gz', import.meta.url));
  const reader = await TraceReader.open(recording);
  const { events } = await replayTrace(reader, shadow);
  await reader.close();
  return events;
}

try {
  const shadow = new Shadow({ policy });
  const kept = { shadow, what: program === 'heap' ? fillHeap(shadow) : await replay(shadow) };
  const { commitBytes, residentBytes } = processMemory();
  console.log(JSON.stringify({ commitBytes, residentBytes, mappedBytes: kept.shadow.stats().mappedBytes }));
  process.stdin.on('end', () => kept.shadow.release());
  process.stdin.resume();
} catch (error) {
  if (!(error instanceof LazyShadowError)) throw error;
  console.log(JSON.stringify({ error: error.code }));
}
