/**
 * A process that is killed while it maps leaves nothing behind.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { linux } from '../support/proc.js';

const LIBRARY = fileURLToPath(new URL('../../dist/cjs/index.js', import.meta.url));
const MAPS = `
  const { Shadow } = require(${JSON.stringify(LIBRARY)});
  const shadow = new Shadow({ policy: 'lazy', heapBytes: 2 ** 36 });
  console.log('mapping');
  for (let at = 0xc000000000; ; at += 65536) shadow.mapShadow(at, 65536);
`;

describe('a process killed in the middle of mapping', () => {
  it('leaves no file, no shared memory, and no charge', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-killed-'));
    const shared = () => (existsSync('/dev/shm') ? readdirSync('/dev/shm').sort() : []);
    const before = shared();
    const child = spawn(process.execPath, ['-e', MAPS], {
      cwd: directory,
      env: { ...process.env, TMPDIR: directory, HOME: directory },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const closed = new Promise((resolve) => child.once('close', (_, signal) => resolve(signal)));
    child.kill('SIGKILL');
    expect(await closed).toBe('SIGKILL');
    expect(readdirSync(directory)).toEqual([]);
    // A browser in another test has files there too, for moments.
    const added = () => shared().filter((file) => !before.includes(file));
    await expect.poll(added, { timeout: 20_000 }).toEqual([]);
    if (linux) expect(existsSync(`/proc/${child.pid}/smaps`)).toBe(false);
    rmSync(directory, { recursive: true });
  });
});
