/**
 * The scripts that documents tell people to run, run: each in a small form.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { linux } from './support/proc.js';
import { program, programBytes } from './support/recordings.js';
import { unless } from './support/skips.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const onLinux = unless(linux, 'only Linux counts reserved addresses against ulimit -v as this expects');

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

  it('examples/watch-rss shows what each policy is charged for', () => {
    const shown = run('examples/watch-rss.mjs', '256');
    expect(shown).toMatch(/^eager +committed \d{4,}\.\d times/m);
    expect(shown).toMatch(/^lazy +committed 144\.0 times/m);
    expect(shown).toMatch(/^touch +committed 1\.0 times/m);
    expect(shown.match(/^ +\d+ MiB( +\d+ MiB){8}$/gm)?.length).toBeGreaterThan(2);
  });

  it('examples/many-processes adds up several heaps under each policy', () => {
    const shown = run('examples/many-processes.mjs', '2', '16');
    const shadow = (policy: string) => Number(new RegExp(`^${policy} +([\\d.]+) MiB`, 'm').exec(shown)?.[1]);
    // 16 MiB of blocks and the bitmap of the heap behind them, at four and a half bytes each.
    expect(shadow('lazy')).toBeGreaterThan(2 * 16 * 4.5);
    expect(shadow('unreserved')).toBe(shadow('lazy'));
    expect(shadow('touch')).toBe(0);
    expect(shadow('eager')).toBeGreaterThan(100 * shadow('lazy'));
  });

  it('examples/many-processes says which policies a limit refuses', onLinux, () => {
    const limited = 'ulimit -v 20000000 && exec "$0" scripts/examples/many-processes.mjs 2 16';
    const { stdout, status } = spawnSync('bash', ['-c', limited, process.execPath], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    for (const policy of ['eager', 'lazy', 'touch'])
      expect(stdout).toMatch(new RegExp(`^${policy} +refused: ERR_OUT_OF_MEMORY$`, 'm'));
    expect(stdout).toMatch(/^unreserved +\d+\.\d MiB/m);
  });

  it('examples/uninitialised-reads finds what is wrong, and nothing else', () => {
    const shown = run('examples/uninitialised-reads.mjs').replace(/0x[0-9a-f]+/g, '0x…');
    expect(shown).toContain('read of 24 bytes: the byte at 0x…, its copy, is never written\n');
    expect(shown).toContain('read of 8 bytes: the byte at 0x…, a list, is never written\n');
    expect(shown).toContain('read of 8 bytes: the byte at 0x…, a list, is not allocated\n');
    expect(shown).toMatch(
      /^3 problems; 1048576 bytes of heap, and of shadow 17179869184 reserved, 1048576 committed/m,
    );
  });

  it('examples/replay-a-recording replays the package’s own recording, and one that is given', () => {
    const own = run('examples/replay-a-recording.mjs');
    expect(own).toContain(
      'Found 0 data race(s)\n38308 events of 9 goroutines; 0 bytes raced on\ntouch: 847.6 MiB mapped; ',
    );
    const path = join(mkdtempSync(join(tmpdir(), 'lazyshadow-scripts-')), 'racymap.trc');
    writeFileSync(path, programBytes(program('racymap')));
    const given = run('examples/replay-a-recording.mjs', path, 'lazy');
    rmSync(dirname(path), { recursive: true });
    expect(given).toContain('WARNING: DATA RACE');
    expect(given).toMatch(/^lazy: .* MiB mapped; of its shadow 358\.2 MiB committed/m);
  });

  it('readme-picture draws', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'lazyshadow-scripts-')), 'measure.svg');
    expect(run('readme-picture.mjs', path)).toBe(`drew ${path}\n`);
    const drawn = readFileSync(path, 'utf8');
    rmSync(dirname(path), { recursive: true });
    expect(drawn).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
    // What the README shows is such a picture, of the same program.
    const shown = readFileSync(`${root}/docs/measure.svg`, 'utf8');
    const titles = (svg: string) => svg.match(/(?:Shadow over time|Where the shadow is): \w+/g);
    expect(titles(shown)).toEqual(titles(drawn));
    expect(shown).toContain('11,886');
  });
});
