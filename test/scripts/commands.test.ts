/**
 * What scripts/platforms runs programs with.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { linux } from '../support/proc.js';
import { unless } from '../support/skips.js';

const { execute } = (await import(new URL('../../scripts/platforms/commands.mjs', import.meta.url).href)) as {
  execute(command: readonly string[], options: { log: string }): Promise<string>;
};

/** Starts a program that outlives it, with memory that the kernel takes a while to free, and says its number. */
const PARENT = `
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, ['-e', 'Buffer.alloc(2 ** 28, 1); console.log(1); setTimeout(() => {}, 60_000);'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.once('data', () => {
    console.log(child.pid);
    process.exit();
  });
`;

it(
  'what a program started is gone when its run is over',
  unless(linux, 'only Linux shows what to end'),
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-test-'));
    try {
      const started = await execute([process.execPath, '-e', PARENT], { log: join(directory, 'log') });
      expect(started).toMatch(/^\d+$/);
      // Gone, or only its number is left, for whoever has to ask about it.
      let state = 'gone';
      try {
        state = /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${started}/stat`, 'latin1'))?.[1] ?? '';
      } catch {
        // There is no such process.
      }
      expect(['gone', 'Z']).toContain(state);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);
