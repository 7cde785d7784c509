// What a shadow costs at its start: one policy in this process, for scripts/bench.mjs. Prints one line of JSON.
//
//     node scripts/bench/start-up-once.mjs POLICY
import { performance } from 'node:perf_hooks';
import { processMemory, Shadow } from '../../dist/esm/index.js';

const [policy] = process.argv.slice(2);
const before = processMemory();
const start = performance.now();
const shadow = new Shadow({ policy });
const ms = performance.now() - start;
const after = processMemory();
console.log(
  JSON.stringify({
    ms,
    virtualBytes: after.virtualBytes - before.virtualBytes,
    residentBytes: after.residentBytes - before.residentBytes,
  }),
);
shadow.release();
