import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { registerReplay } from '../../lib/cli/commands/replay.js';
import { programBytes, program as programRow } from '../support/recordings.js';

let directory: string;
let racy: string;
let clean: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lazyshadow-replay-'));
  racy = join(directory, 'racycounter.trc');
  clean = join(directory, 'sieve.trc.gz');
  writeFileSync(racy, programBytes(programRow('racycounter')));
  writeFileSync(clean, gzipSync(programBytes(programRow('sieve')), { level: 1 }));
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

/** What `lazyshadow replay …` prints, and its exit code. */
async function replay(...args: string[]) {
  const printed = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      printed[stream] += text;
      return true;
    });
  }
  const before = process.exitCode;
  const program = new Command().version('1.2.3').exitOverride();
  registerReplay(program);
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(['replay', ...args], { from: 'user' });
    return { ...printed, exitCode: process.exitCode };
  } finally {
    process.exitCode = before;
  }
}

describe('lazyshadow replay', () => {
  it('prints Go’s report and count, and exits with 66', async () => {
    const { stdout, stderr, exitCode } = await replay(racy);
    const [text = ''] = programRow('racycounter').goReportText ?? [];
    expect(stdout).toBe(`==================\n${text.trimEnd()}\n==================\n`);
    expect(stderr).toBe('Found 1 data race(s)\n');
    expect(exitCode).toBe(66);
  });

  it('exits with 0 and prints nothing when there is no race', async () => {
    expect(await replay(clean, '--policy', 'touch')).toEqual({
      stdout: '',
      stderr: '',
      exitCode: 0,
    });
  });

  it('does the same with several workers', async () => {
    const plain = join(directory, 'sieve.trc');
    writeFileSync(plain, programBytes(programRow('sieve')));
    expect(await replay('--workers', '2', plain)).toEqual({ stdout: '', stderr: '', exitCode: 0 });
    const alone = await replay(racy);
    expect(await replay('--workers', '2', racy)).toEqual(alone);
    const { stdout } = await replay('--json', '--policy', 'eager', '--workers', '2', plain);
    const { shadow } = JSON.parse(stdout);
    expect(shadow.policy).toBe('touch');
    expect(shadow.committedBytes).toBeGreaterThan(0);
    const packed = await replay('--workers', '2', clean);
    expect(packed.exitCode).toBe(2);
    expect(packed.stderr).toContain('sieve.trc.gz is not a plain file');
  });

  it('prints an object a line with --json', async () => {
    const { stdout, exitCode } = await replay('--json', '--policy', 'touch', racy, clean);
    const [first, second] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(exitCode).toBe(66);
    expect(Object.keys(first)).toEqual([
      'trace',
      'events',
      'goroutines',
      'reportCount',
      'racyAddresses',
      'races',
      'elapsedMs',
      'nsPerEvent',
      'shadow',
      'process',
    ]);
    expect(first).toMatchObject({
      trace: racy,
      events: 2155,
      goroutines: 9,
      reportCount: 1,
      racyAddresses: ['0xc00001c0c8'],
      races: [
        {
          address: '0xc00001c0c8',
          sizeBytes: 1,
          current: {
            kind: 'read',
            atomic: false,
            stack: [{ function: 'main.update', line: 4 }, {}],
          },
          previous: {
            kind: 'write',
            atomic: false,
            goroutineCreatedAt: [{ function: 'main.main', line: 5 }],
          },
        },
      ],
      shadow: { policy: 'touch' },
    });
    expect(second).toMatchObject({
      trace: clean,
      reportCount: 0,
      racyAddresses: [],
      races: [],
    });
    for (const key of ['reservedBytes', 'committedBytes', 'osCommittedBytes', 'residentBytes']) {
      expect(first.shadow[key]).toBeGreaterThan(0);
    }
    for (const key of ['virtualBytes', 'residentBytes', 'peakResidentBytes']) {
      expect(first.process[key]).toBeGreaterThan(0);
    }
  });

  it('keeps two cells a granule, in half the shadow of four, unless told otherwise', async () => {
    const committed = async (...layout: string[]) => {
      const { stdout } = await replay('--json', '--policy', 'lazy', ...layout, clean);
      return JSON.parse(stdout).shadow.committedBytes;
    };
    const two = await committed('--layout', 'node-x2');
    expect(await committed()).toBe(two);
    // Per byte of memory: two bytes of shadow or four, and half a byte of metainfo.
    expect((await committed('--layout', 'node-x4')) / two).toBeCloseTo(4.5 / 2.5, 2);
  });

  it('writes SARIF to --output', async () => {
    const output = join(directory, 'races.sarif');
    expect(await replay(racy, '--format', 'sarif', '--output', output)).toMatchObject({
      stdout: '',
      exitCode: 66,
    });
    const log = JSON.parse(readFileSync(output, 'utf8'));
    expect(log).toMatchObject({
      version: '2.1.0',
      runs: [{ results: [{ ruleId: 'data-race' }] }],
    });
    expect(log.runs[0].tool.driver.version).toBe('1.2.3');
  });

  it('does as GORACE says', async () => {
    const log = join(directory, 'log');
    const gorace = `exitcode=3 log_path=${log} strip_path_prefix=racycounter/`;
    expect(await replay(racy, '--gorace', gorace)).toMatchObject({
      stdout: '',
      exitCode: 3,
    });
    const [file = ''] = readdirSync(directory).filter((name) => name.startsWith('log.'));
    expect(file).toBe(`log.${process.pid}`);
    expect(readFileSync(join(directory, file), 'utf8')).toContain('      main.go:4 +0x30\n');
    expect((await replay(racy, '--gorace', 'log_path=stderr')).stderr).toContain('WARNING: DATA RACE');
  });

  it('adds objects with --locations', async () => {
    expect((await replay(racy, '--locations')).stdout).toMatch(
      /Location is the .* the race is at offset \d+/,
    );
  });

  it('exits with 2 for a bad recording, and replays the others', async () => {
    const bad = join(directory, 'bad.trc');
    writeFileSync(bad, readFileSync(racy).subarray(0, 6400));
    const { stdout, stderr, exitCode } = await replay(bad, racy);
    expect(stderr).toMatch(/^lazyshadow: .*bad\.trc: .*\[ERR_BAD_TRACE\]\n/);
    expect(stdout).toContain('WARNING: DATA RACE');
    expect(exitCode).toBe(2);
  });

  it('refuses options that it does not know', async () => {
    await expect(replay(racy, '--gorace', 'exitcode')).rejects.toMatchObject({
      code: 'commander.invalidArgument',
    });
    await expect(replay(racy, '--policy', 'hasty')).rejects.toMatchObject({
      code: 'commander.invalidArgument',
    });
    await expect(replay()).rejects.toMatchObject({
      code: 'commander.missingArgument',
    });
  });
});
