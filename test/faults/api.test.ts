/**
 * A million random calls to the whole public API, from the main thread and from workers (test/faults/fuzz): no process
 * ends, and what the library counts is what the system counts.
 */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import type { RunResult } from './fuzz/run.js';
import { program } from './program.js';
import { count, repeatWith, seeds, TIMEOUT_MS } from './settings.js';

/** Few enough that a failure is soon repeated. */
const CALLS_OF_RUN = 100_000;
const RUNS = 10;

it(
  'a million random calls',
  async () => {
    const path = await program('fuzz/main');
    const failures: string[] = [];
    for (const seed of seeds(RUNS)) {
      // With one thread a seed repeats everything; with three, threads meet as they happen to.
      const threads = seed % 2 === 0 ? 3 : 1;
      const args = ['--expose-gc', path, seed, CALLS_OF_RUN, threads].map(String);
      const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      const again = `seed ${seed}: node ${args.join(' ')}\n${repeatWith(seed, 'api')}`;
      if (status !== 0) {
        count('crashes', 1);
        failures.push(`${again}\nended with ${status ?? signal}: ${stderr.slice(-4000)}`);
        continue;
      }
      const result = JSON.parse(stdout) as RunResult;
      count('calls', result.calls);
      count('refusals', result.refused);
      if (result.failure === undefined) continue;
      count('inconsistencies', 1);
      failures.push(`${again}\n${result.failure}`);
    }
    expect(failures).toEqual([]);
  },
  TIMEOUT_MS,
);
