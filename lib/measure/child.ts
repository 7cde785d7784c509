/**
 * The process that measures one policy: told its task over the channel to its parent, it runs the experiment, reports,
 * and ends. It ends too when the parent does.
 */

import { runExperiment } from './experiment.js';
import type { Report, Task } from './measure.js';
import { TraceWorkload } from './trace-workload.js';
import { namedWorkload } from './workloads.js';

function report(message: Report): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

/**
 * Ends this process, at once. `process.exit` waits for V8's compiler, which on Node 24 may wait for a collection that
 * only this thread could do: measured, 45 of 1010 such processes hung for ever (https://github.com/nodejs/node/issues/54918).
 */
function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

process.once('disconnect', end);
process.once('message', async ({ workload, heapBytes, trace, ...task }: Task) => {
  const result = await runExperiment({
    ...task,
    workload: trace === null ? namedWorkload(workload, heapBytes) : new TraceWorkload(trace),
    onProgress: (done) => void report({ done }),
    onSample: (sample) => void report({ sample }),
  });
  await report({ result });
  end();
});
