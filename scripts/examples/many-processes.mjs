// Several processes at once, each with a heap and its shadow: what do they cost the machine together, by policy? Memory that is
// committed is promised, and where the system keeps its promises (Windows, vm.overcommit_memory=2) nobody else can have it.
// Run it with `node scripts/examples/many-processes.mjs [processes] [MiB of heap]`.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Heap, POLICIES, processMemory, Shadow, shadowHooks } from 'lazyshadow';

const MiB = 2 ** 20;
const BLOCK_BYTES = 128 * 1024;

if (process.send) {
  // A process of the experiment: fills a heap with blocks whose shadow nobody looks at, says what that took, and waits.
  const { policy, heapBytes } = JSON.parse(process.argv[2]);
  const before = processMemory();
  try {
    const shadow = new Shadow({ policy });
    const heap = new Heap({ race: shadowHooks(shadow), scavenger: false });
    for (let held = 0; held < heapBytes; held += BLOCK_BYTES) heap.bytes(heap.malloc(BLOCK_BYTES), 8).fill(1);
    const { commitBytes, residentBytes } = processMemory();
    process.send({
      shadow: shadow.stats().committedBytes,
      resident: residentBytes - before.residentBytes,
      charge: (commitBytes ?? 0) - (before.commitBytes ?? 0),
    });
  } catch (error) {
    process.send({ refused: error.code });
  }
  // Its memory is there until the parent has heard of everybody's.
  await once(process, 'disconnect');
} else {
  const count = Number(process.argv[2] ?? 4);
  const heapBytes = Number(process.argv[3] ?? 64) * MiB;
  const mib = (bytes) => `${(bytes / MiB).toFixed(1)} MiB`.padStart(16);
  console.log(`${count} processes with a heap of ${heapBytes / MiB} MiB each, all together\n`);
  console.log(
    `${'policy'.padEnd(10)}${['shadow', 'resident', 'charged'].map((word) => word.padStart(16)).join('')}`,
  );
  for (const policy of POLICIES) {
    const task = JSON.stringify({ policy, heapBytes });
    const children = Array.from({ length: count }, () => fork(fileURLToPath(import.meta.url), [task]));
    const answers = await Promise.all(children.map((child) => once(child, 'message')));
    const total = (field) => answers.reduce((sum, [answer]) => sum + answer[field], 0);
    const refused = answers.find(([answer]) => answer.refused)?.[0].refused;
    const sums = `${mib(total('shadow'))}${mib(total('resident'))}${mib(total('charge'))}`;
    console.log(policy.padEnd(10) + (refused === undefined ? sums : `  refused: ${refused}`));
    for (const child of children) child.disconnect();
    await Promise.all(children.map((child) => (child.exitCode === null ? once(child, 'exit') : undefined)));
  }
}
