/**
 * `lazyshadow measure`, typed as a person would type it.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MeasureResult } from '../../lib/measure/measure.js';
import { systemMemory } from '../../lib/native/system.js';
import { lazyshadow, lazyshadowUnder } from '../support/cli.js';
import { linux, windows } from '../support/proc.js';
import { shippedRecording } from '../support/recordings.js';
import { wine } from '../support/sizes.js';
import { unless, unlessMemoryFiles } from '../support/skips.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Windows charges all of it at the start: of the built-in layouts, more than a machine has. */
const hasEager = !windows;
const unlessWine = unless(!wine, 'Wine takes seconds to look at each page of gigabytes, for every sample');
const unlessWindows = unless(!windows, 'it finds processes by ps and pkill');
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lazyshadow-test-'));
});
// Not rmSync: Windows removes no directory with a file in it that is still being closed.
afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }));

function measured(args: readonly string[]): MeasureResult {
  const { code, stdout, stderr } = lazyshadow(['measure', '--json', ...args]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as MeasureResult;
}

const bytes = { type: 'integer', minimum: 0 };
const sample = {
  type: 'object',
  additionalProperties: false,
  properties: {
    atMs: { type: 'number', minimum: 0 },
    heapBytes: bytes,
    reservedBytes: bytes,
    committedBytes: bytes,
    osCommittedBytes: bytes,
    residentBytes: bytes,
    processVirtualBytes: bytes,
    processResidentBytes: bytes,
    processCommitBytes: { anyOf: [bytes, { type: 'null' }] },
  },
};
const everything = (schema: { properties: object }) => ({
  ...schema,
  required: Object.keys(schema.properties),
});
const resultSchema = everything({
  type: 'object',
  additionalProperties: false,
  properties: {
    trace: { type: ['string', 'null'] },
    workload: { type: 'string' },
    layout: { type: 'string' },
    pageSizeBytes: bytes,
    policies: {
      type: 'array',
      items: everything({
        type: 'object',
        additionalProperties: false,
        properties: {
          policy: { enum: ['eager', 'unreserved', 'lazy', 'touch'] },
          ok: { type: 'boolean' },
          error: {
            anyOf: [
              { type: 'null' },
              everything({
                type: 'object',
                additionalProperties: false,
                properties: { code: { type: 'string' }, message: { type: 'string' } },
              } as { properties: object }),
            ],
          },
          samples: { type: 'array', items: everything(sample) },
          final: everything(sample),
        },
      } as { properties: object }),
    },
  },
} as { properties: object });
const isResult = new Ajv({ strict: false }).compile(resultSchema);

describe('with no arguments', unlessWine, () => {
  let result: MeasureResult;
  beforeAll(() => {
    result = measured([]);
  });
  const final = (policy: string) => {
    const row = result.policies.find((row) => row.policy === policy);
    if (row === undefined) throw new Error(`no row ${policy}`);
    return row.final;
  };

  it('prints exactly the documented object', () => {
    expect(isResult(result), JSON.stringify(isResult.errors)).toBe(true);
    expect(result).toMatchObject({ trace: shippedRecording, workload: 'trace', layout: 'node-x4' });
  });

  it('replays the shipped recording under all four policies', () => {
    expect(result.policies.map(({ policy, ok }) => [policy, ok])).toEqual([
      ['eager', hasEager],
      ['unreserved', true],
      ['lazy', true],
      ['touch', true],
    ]);
    // 13 arenas of 64 MiB, as the recording's manifest lists them.
    for (const { final, samples, ok } of result.policies) {
      if (!ok) continue;
      expect(final.heapBytes).toBe(13 * 64 * 2 ** 20);
      expect(samples.length).toBeGreaterThanOrEqual(8);
      expect(samples.at(-1)).toEqual(final);
      expect(samples.map(({ atMs }) => atMs)).toEqual(samples.map(({ atMs }) => atMs).sort((a, b) => a - b));
    }
  });

  it('counts under lazy and touch just what the system counts, at every sample', () => {
    for (const { policy, samples } of result.policies) {
      if (policy !== 'lazy' && policy !== 'touch') continue;
      for (const at of samples) expect(at.osCommittedBytes).toBe(at.committedBytes);
    }
  });

  it('commits under lazy the shadow and metainfo of all that was mapped', () => {
    // 832 MiB of heap and the data segment, 4 bytes of shadow and half a byte of metainfo for each byte, by whole pages.
    const mapped = 13 * 64 * 2 ** 20 + 0xf9a000;
    expect(final('lazy').committedBytes).toBeGreaterThanOrEqual(mapped * 4.5);
    expect(final('lazy').committedBytes).toBeLessThan(mapped * 4.5 + 4 * result.pageSizeBytes);
  });

  it('commits under touch at most 1.25 times what is resident', () => {
    const { committedBytes, residentBytes } = final('touch');
    expect(residentBytes).toBeGreaterThan(40 * 2 ** 20);
    expect(committedBytes).toBeLessThanOrEqual(1.25 * residentBytes);
  });

  it('keeps the same resident whatever the policy', () => {
    const resident = result.policies.flatMap(({ ok, final }) => (ok ? [final.residentBytes] : []));
    expect(Math.max(...resident) / Math.min(...resident)).toBeLessThan(1.01);
  });

  it('adds under unreserved only what was committed to the address space', () => {
    const first = result.policies.find(({ policy }) => policy === 'unreserved')?.samples[0];
    const last = final('unreserved');
    const grown = last.processVirtualBytes - (first?.processVirtualBytes ?? 0);
    // The rest is V8's own growth while it ran, windows of which take no address space.
    expect(grown - last.committedBytes).toBeLessThan(256 * 2 ** 20);
    expect(last.reservedBytes).toBe(last.committedBytes);
  });

  const hasCharge = unless(process.platform !== 'darwin', 'macOS has no commit charge');
  it('shows what the process is charged: everything under lazy, what is used under touch', hasCharge, () => {
    const charge = (policy: string) => final(policy).processCommitBytes ?? 0;
    const rest = charge('touch') - final('touch').committedBytes;
    expect(charge('lazy') - final('lazy').committedBytes).toBeLessThan(rest * 2);
    expect(charge('touch')).toBeLessThan(charge('lazy') / 4);
  });
});

describe('workloads', () => {
  it.each(['growth', 'growth-shrink', 'sparse', 'arenas'])('%s runs under every policy', (workload) => {
    const result = measured(['--workload', workload, '--heap', '16MiB']);
    expect(result).toMatchObject({ trace: null, workload });
    for (const { policy, ok, final } of result.policies) {
      expect(ok).toBe(policy !== 'eager' || hasEager);
      if (!ok) continue;
      expect(final.heapBytes).toBe(workload === 'growth-shrink' ? 2 ** 23 : 2 ** 24);
      expect(final.residentBytes).toBeGreaterThan(0);
    }
  });

  const sparse = ['--workload', 'sparse', '--heap', '4GiB', '--policy', 'touch'];
  it('commit under touch what they touch, however many pieces that makes', unlessMemoryFiles, () => {
    const [row] = measured(sparse).policies;
    expect(row?.final).not.toHaveProperty('mergedBytes');
    expect(row?.final.committedBytes).toBe(row?.final.residentBytes);
  });

  const fewMappings = unless(
    linux && (systemMemory().maxMapCount ?? Infinity) <= 65_530,
    'no kernel setting, or none so small, bounds how many mappings a process has',
  );
  it('say what touch committed for want of mappings, where it may have no memory file', fewMappings, () => {
    const under = (args: readonly string[]) => lazyshadowUnder('ulimit -f 1000000', ['measure', ...args]);
    const [row] = (JSON.parse(under(['--json', ...sparse]).stdout) as MeasureResult).policies;
    if (row?.final.mergedBytes === undefined) throw new Error('nothing was merged');
    expect(row.samples[0]).not.toHaveProperty('mergedBytes');
    expect(row.final.mergedBytes).toBe(row.final.committedBytes - row.final.residentBytes);
    expect(under(sparse).stdout).toMatch(
      /^touch: [\d.]+ [MG]iB of what is committed joins pieces, since .* \(vm\.max_map_count\)\.$/m,
    );
  });

  it.each(['heap-cache', 'heap-tree', 'heap-large'])('%s runs on a Go heap, and shows it', (workload) => {
    const { policies } = measured(['--workload', workload, '--heap', '16MiB', '--policy', 'lazy,touch']);
    for (const { ok, error, final } of policies) {
      expect({ ok, error }).toEqual({ ok: true, error: null });
      const { heapSysBytes = 0, heapInuseBytes = 0, heapReleasedBytes = 0 } = final.goHeap ?? {};
      // What the heap has, less what it gave back with its shadow, is what the shadow was told of.
      expect(final.heapBytes).toBeLessThanOrEqual(heapSysBytes);
      expect(final.heapBytes).toBeGreaterThanOrEqual(heapSysBytes - heapReleasedBytes);
      expect(heapInuseBytes).toBeLessThanOrEqual(heapSysBytes - heapReleasedBytes);
      expect(final.osCommittedBytes).toBe(final.committedBytes);
    }
    const [lazy, touch] = policies.map(({ final }) => final.goHeap);
    expect(touch).toEqual(lazy);
    const { stdout } = lazyshadow(['measure', '--workload', workload, '--heap', '8M', '--policy', 'touch']);
    expect(stdout).toMatch(/HeapSys +HeapInuse +HeapReleased/);
  });

  it('are sized for a laptop unless told otherwise, as the help says', () => {
    const { policies } = measured(['--workload', 'sparse', '--policy', 'touch']);
    expect(policies.map(({ final }) => final.heapBytes)).toEqual([2 ** 28]);
    expect(lazyshadow(['top', '--help']).stdout.replace(/\s+/g, ' ')).toContain('(default: 256MiB)');
  });

  it('touch commits far less than lazy where little is touched', () => {
    const { policies } = measured(['--workload', 'sparse', '--heap', '256M', '--policy', 'lazy,touch']);
    const [lazy, touch] = policies.map(({ final }) => final.committedBytes);
    expect(policies.map(({ policy }) => policy)).toEqual(['lazy', 'touch']);
    expect(touch).toBeLessThan((lazy ?? 0) / 50);
  });

  it('gives memory back where the heap shrinks', () => {
    const { policies } = measured(['--workload', 'growth-shrink', '--heap', '16M', '--policy', 'lazy']);
    const committed = policies[0]?.samples.map(({ committedBytes }) => committedBytes) ?? [];
    const final = policies[0]?.final.committedBytes ?? 0;
    expect(Math.max(...committed)).toBeGreaterThan(1.9 * final);
  });

  it.each(['go-unix-x4', 'go-unix-x2', 'go-windows-x4', 'go-windows-x2', 'node-x2'])(
    'runs with layout %s',
    unlessWine,
    (layout) => {
      const result = measured([
        '--workload',
        'growth',
        '--heap',
        '16M',
        '--policy',
        'lazy,touch',
        '--layout',
        layout,
      ]);
      expect(result.layout).toBe(layout);
      expect(result.policies.every(({ ok }) => ok)).toBe(true);
    },
  );
});

describe('recordings', () => {
  it('are taken plain, packed, and from standard input, to the same end', unlessWine, () => {
    const plain = join(directory, 'heapgrow.trc');
    writeFileSync(plain, gunzipSync(readFileSync(shippedRecording)));
    const packed = measured(['--trace', shippedRecording, '--policy', 'touch']);
    const unpacked = measured([plain, '--policy', 'touch']); // short for --trace
    expect(unpacked.trace).toBe(plain);
    const piped = lazyshadow(['measure', '--json', '--trace', '-', '--policy', 'lazy,touch'], {
      input: readFileSync(plain),
    });
    const fromInput = JSON.parse(piped.stdout) as MeasureResult;
    expect(unpacked.policies[0]?.final.committedBytes).toBe(packed.policies[0]?.final.committedBytes);
    expect(fromInput).toMatchObject({ trace: '-', workload: 'trace' });
    expect(fromInput.policies[1]?.final.committedBytes).toBe(packed.policies[0]?.final.committedBytes);
    expect(fromInput.policies[0]?.ok).toBe(true);
  });

  it.each([
    ['a directory', () => directory],
    ['a file that is not there', () => join(directory, 'none.trc')],
    [
      'a truncated file',
      () => {
        const path = join(directory, 'short.trc');
        writeFileSync(path, gunzipSync(readFileSync(shippedRecording)).subarray(0, 4000));
        return path;
      },
    ],
  ])('%s is a row that says so', (_, path) => {
    const { code, stdout } = lazyshadow(['measure', '--json', '--policy', 'lazy', '--trace', path()]);
    const result = JSON.parse(stdout) as MeasureResult;
    expect(isResult(result), JSON.stringify(isResult.errors)).toBe(true);
    expect(result.policies[0]).toMatchObject({ ok: false, error: { code: 'ERR_BAD_TRACE' } });
    expect(result.policies[0]?.error?.message).toContain(path());
    expect(code).toBe(1);
  });
});

describe('the table', () => {
  it('has a row for each policy, in human units, and no progress line when piped', unlessWine, () => {
    const { code, stdout, stderr } = lazyshadow(['measure']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).not.toContain('\u001b');
    for (const policy of ['eager', 'unreserved', 'lazy', 'touch'])
      expect(stdout).toMatch(
        policy !== 'eager' || hasEager ? new RegExp(`^${policy} .*GiB`, 'm') : /^eager failed/m,
      );
    expect(stdout).toMatch(/committed\/resident/);
  });

  it('is the same from npm run measure and scripts/measure.mjs', () => {
    const args = ['--workload', 'growth', '--heap', '16M', '--policy', 'touch', '--json'];
    const script = execFileSync(process.execPath, [join(root, 'scripts/measure.mjs'), ...args], {
      encoding: 'utf8',
    });
    const { policies } = JSON.parse(script) as MeasureResult;
    expect(policies[0]?.final.committedBytes).toBe(measured(args).policies[0]?.final.committedBytes);
  });
});

describe('refusals', () => {
  const hasLimit = unless(linux, 'only Linux has a limit on address space that refuses reservations');
  it('a policy that the limits refuse is a row; the others still run', hasLimit, () => {
    // 400 GiB of address space: too little for the reservations of eager, lazy and touch, enough for unreserved.
    const args = ['measure', '--json', '--workload', 'growth', '--heap', '16M'];
    const { code, stdout } = lazyshadowUnder(`ulimit -v ${400 * 2 ** 20}`, args);
    const result = JSON.parse(stdout) as MeasureResult;
    expect(result.policies.map(({ policy, ok }) => [policy, ok])).toEqual([
      ['eager', false],
      ['unreserved', true],
      ['lazy', false],
      ['touch', false],
    ]);
    expect(result.policies[0]?.error).toMatchObject({ code: 'ERR_OUT_OF_MEMORY' });
    expect(result.policies[0]?.error?.message).toContain('ENOMEM');
    expect(isResult(result), JSON.stringify(isResult.errors)).toBe(true);
    expect(code).toBe(0);
  });

  it.each([
    [['--policy', 'lazy,greedy'], 'greedy'],
    [['--layout', 'nowhere'], 'nowhere'],
    [['--workload', 'none'], 'none'],
    [['--heap', 'much'], 'size'],
    [['--heap', '0'], 'size'],
    [['--trace', 'x', '--workload', 'growth'], 'cannot be used with'],
    [['--polcy', 'lazy'], '--policy'],
    [['x', '--trace', 'y'], 'one recording'],
    [['x', '--workload', 'growth'], 'not both'],
    [['x', 'y'], 'too many arguments'],
  ])('%j ends with exit code 2 and says what is wrong', (args, word) => {
    const { code, stdout, stderr } = lazyshadow(['measure', ...args]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(word);
  });
});

describe('a process killed in the middle', unlessWindows, () => {
  it('leaves its children to end by themselves, in the midst of their workload', async () => {
    const args = [join(root, 'scripts/measure.mjs'), '--workload', 'growth', '--heap', '8GiB'];
    const parent = spawn(process.execPath, args, { stdio: 'ignore', detached: true });
    const children = () =>
      execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.includes('measure/child.js'))
        .map((line) => line.trim().split(/\s+/).map(Number))
        .filter(([, ppid]) => ppid === parent.pid);
    await expect.poll(() => children().length, { timeout: 20_000 }).toBe(1);
    const child = children()[0]?.[0] ?? 0;
    const residentBytes = () =>
      Number(spawnSync('ps', ['-o', 'rss=', '-p', String(child)], { encoding: 'utf8' }).stdout) * 1024;
    await expect.poll(residentBytes, { timeout: 20_000, interval: 10 }).toBeGreaterThan(2 ** 29);
    parent.kill('SIGKILL');
    // Its workload ends at 36 GiB; it must end long before.
    let largest = 0;
    for (let now = residentBytes(); now > 0; now = residentBytes()) {
      largest = Math.max(largest, now);
      if (largest > 2 ** 33) process.kill(child, 'SIGKILL');
      await sleep(10);
    }
    expect(largest).toBeLessThan(2 ** 33);
  });

  it('a policy whose process is killed is a row that says so', async () => {
    const { measure } = await import('../../lib/measure/measure.js');
    const killed = measure({
      workload: 'growth',
      heapBytes: 2 ** 33,
      policies: ['touch'],
      onProgress: () => {
        execFileSync('pkill', ['-KILL', '-P', String(process.pid), '-f', 'measure/child.js']);
      },
    });
    const { policies } = await killed;
    expect(policies[0]).toMatchObject({ ok: false, error: { code: 'ERR_PROCESS_LOST' } });
    expect(policies[0]?.error?.message).toContain('SIGKILL');
  });
});
