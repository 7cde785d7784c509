/** Processes that are killed at a random moment, in the middle of whatever they do: nothing of them is left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { MAIN } from '../support/cli.js';
import { linux } from '../support/proc.js';
import { Random } from '../support/random.js';
import { program } from './program.js';
import { count, repeatWith, seeds, TIMEOUT_MS } from './settings.js';

/** Processes killed in the short form. */
const KILLS = 20;
const LONGEST_LIFE_MS = 1500;

/** Shared segments: those of POSIX as files, and those of System V. */
function sharedSegments(): string[] {
  if (!linux) return [];
  const posix = existsSync('/dev/shm') ? readdirSync('/dev/shm') : [];
  const systemV = existsSync('/proc/sysvipc/shm') ? readFileSync('/proc/sysvipc/shm', 'utf8') : '';
  return [...posix, ...systemV.split('\n')];
}

/** The processes that have a variable of this value in their environment: a program, and all that it started. */
function processesWith(variable: string): string[] {
  if (!linux) return [];
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(variable);
    } catch {
      return false; // it has ended, or is somebody else's
    }
  });
}

it(
  'a process killed at a random moment leaves no file, no shared memory and no process',
  async () => {
    const fuzz = await program('fuzz/main');
    const programs = [
      // Every call there is, from three threads; the command line, whose policies are processes of their own.
      (seed: number) => ['--expose-gc', fuzz, `${seed}`, '100000000', '3'],
      () => [MAIN, 'measure', '--workload', 'growth', '--heap', '1GiB', '--json'],
      () => [MAIN, 'replay', join('data', 'heapgrow.trc.gz')],
    ];
    for (const seed of seeds(KILLS)) {
      const random = new Random(seed);
      const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-killed-'));
      const before = sharedSegments();
      const mark = `LAZYSHADOW_KILLED=${directory}`;
      const child = spawn(process.execPath, random.pick(programs)(seed), {
        env: { ...process.env, TMPDIR: directory, HOME: directory, LAZYSHADOW_KILLED: directory },
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      await sleep(random.below(LONGEST_LIFE_MS));
      child.kill('SIGKILL');
      const [status, signal] = (await ended) as [number | null, string | null];
      expect(status === 0 || signal === 'SIGKILL', `${status} ${signal}, ${repeatWith(seed, 'killed')}`).toBe(
        true,
      );
      count('programs killed', 1);
      // A child of its own ends when it learns that its parent is gone.
      await expect.poll(() => processesWith(mark), { timeout: 20_000 }).toEqual([]);
      expect(readdirSync(directory), repeatWith(seed, 'killed')).toEqual([]);
      // Those of other programs on the machine come and go.
      const added = () => sharedSegments().filter((segment) => !before.includes(segment));
      await expect.poll(added, { timeout: 20_000 }).toEqual([]);
      rmSync(directory, { recursive: true });
    }
  },
  TIMEOUT_MS,
);
