// The platform sources, held to their contract without Node in between: a C++ program built and run by g++.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { linux } from '../support/proc.js';
import { emulated } from '../support/sizes.js';
import { unless } from '../support/skips.js';

const script = fileURLToPath(new URL('../../scripts/native-tests.mjs', import.meta.url));

/** To compile two programs, on a machine that has other work; running them takes seconds. */
const BUILD_TIMEOUT_MS = 180_000;

const byItself = unless(linux && !emulated, 'scripts/platforms runs it by itself');

describe('the memory contract in C++', byItself, () => {
  it(
    'holds on this machine, and with larger pages simulated',
    () => {
      const { status, stdout } = spawnSync(process.execPath, [script, '--require-all', 'host'], {
        encoding: 'utf8',
      });
      expect(stdout).toContain('host: passed');
      expect(stdout).toMatch(
        /os_memory_test: [\s\S]*?\d+ checks, 0 failed \(pages of 65536, granularity 1048576\)/,
      );
      expect(stdout).toMatch(/cgroup_linux_test: \d+ checks, 0 failed/);
      expect(status).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );
});
