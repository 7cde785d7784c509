/**
 * Ten thousand damaged recordings (test/faults/damage), read, inspected and replayed under every policy: each comes to an
 * end by itself.
 */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { linux } from '../support/proc.js';
import type { DamageResult } from './damage/main.js';
import { program } from './program.js';
import { count, repeatWith, seeds, TIMEOUT_MS } from './settings.js';

const FILES_OF_RUN = 2500;
const RUNS = 4;
/** A damaged recording may tell of a program that uses all the memory there is: not this machine's, here. */
const DATA_LIMIT_KIB = 4 * 2 ** 20;

it(
  'ten thousand damaged recordings',
  async () => {
    const path = await program('damage/main');
    const failures: string[] = [];
    let refused = 0;
    for (const seed of seeds(RUNS)) {
      const limit = linux ? `ulimit -d ${DATA_LIMIT_KIB} &&` : '';
      const command = `${limit} exec "${process.execPath}" "${path}" ${seed} ${FILES_OF_RUN}`;
      const { status, signal, stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
      const again = `seed ${seed}: ${command}\n${repeatWith(seed, 'recordings')}`;
      if (status !== 0) {
        count('crashes', 1);
        failures.push(`${again}\nended with ${status ?? signal}: ${stderr.slice(-4000)}`);
        continue;
      }
      const result = JSON.parse(stdout) as DamageResult;
      count('damaged files read', result.files);
      refused += result.refused;
      if (result.failure === undefined) continue;
      count('inconsistencies', 1);
      failures.push(`${again}\n${result.failure}`);
    }
    expect(failures).toEqual([]);
    expect(refused).toBeGreaterThan(1000); // else the damage does none
  },
  TIMEOUT_MS,
);
