/**
 * The scripts that documents tell people to run, run: each in a small form.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${root}/scripts/${script}`, ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

describe('scripts', () => {
  it('heap-growth: every row agrees with the operating system', () => {
    const shown = run('heap-growth.mjs', '64');
    expect(shown).toContain('lazy shadow');
    expect(shown).toContain('touch shadow');
    expect(shown).toContain('Every row agrees with the operating system to the byte.');
  });

  it('examples/find-a-race finds its race', () => {
    expect(run('examples/find-a-race.mjs')).toContain('Found 1 data race(s)');
  });
});
