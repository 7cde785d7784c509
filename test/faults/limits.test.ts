/**
 * Everything that takes memory, under each limit that the system has (test/faults/limits/core.ts): refused with the right
 * error, nothing lost, and as far on as there is room. vm.max_map_count is in test/native/limits.test.ts.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MeasureResult } from '../../lib/measure/measure.js';
import { inChild } from '../support/child.js';
import { MAIN } from '../support/cli.js';
import { memoryGroup } from '../support/memory-cgroup.js';
import { linux } from '../support/proc.js';
import { skipNow, unless } from '../support/skips.js';
import type { Outcome } from './limits/core.js';
import { program } from './program.js';
import { count } from './settings.js';

const MiB = 2 ** 20;
const WITHOUT_OVERCOMMIT = fileURLToPath(new URL('../../scripts/without-overcommit.mjs', import.meta.url));
/** What scripts/without-overcommit.mjs exits with where the setting may not be changed. */
const CANNOT = 3;
const NOT_ROOT = 'vm.overcommit_memory may not be set here';

let core: string;
beforeAll(async () => {
  core = await program('limits/core');
});

function run(command: string, ...args: string[]) {
  return spawnSync(command, args, { encoding: 'utf8' });
}

/** What came of each thing, by its name. */
function outcomesOf({ status, signal, stdout, stderr }: ReturnType<typeof run>): Record<string, Outcome> {
  if (status !== 0) {
    count('crashes', 1);
    throw new Error(`ended with ${status ?? signal}: ${stderr}`);
  }
  const outcomes = JSON.parse(stdout) as Outcome[];
  count('refusals', outcomes.filter(({ refused }) => refused).length);
  return Object.fromEntries(outcomes.map((outcome) => [outcome.name, outcome]));
}

const underShell = (limit: string) => run('bash', '-c', `${limit} && exec "$@"`, '-', process.execPath, core);

/** A field of /proc/self/status of a Node with the library loaded, in bytes. */
const ofIdleNode = (field: string) =>
  inChild(
    `report(Number(/${field}:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024);`,
  ) as number;

const ALL = { whole: true, refused: false };
/** All of its addresses; but memory ran out. */
const SOME = { whole: true, refused: true };
/** Not even the addresses that it wants, but as much as fitted works. */
const SMALLER = { whole: false };

/** Where memory is promised, and counted, when it is committed: touch alone goes all the way. */
function expectCommitRefused(outcomes: Record<string, Outcome>): void {
  expect(outcomes).toMatchObject({
    reservation: SOME,
    'shadow under eager': SMALLER,
    'shadow under unreserved': SOME,
    'shadow under lazy': SOME,
    'shadow under touch': ALL,
    heap: SOME,
    'replay under eager': { refused: true },
    'replay under touch': ALL,
  });
  for (const { pieces, refused } of Object.values(outcomes)) expect(pieces > 0 || refused).toBe(true);
}

describe('the core, under', () => {
  it('no limit: it has all that it wants', () => {
    for (const outcome of Object.values(outcomesOf(run(process.execPath, core)))) {
      expect(outcome).toMatchObject({ ...ALL, pieces: outcome.of });
    }
  });

  it('ulimit -d', unless(linux, 'fails commits on Linux only'), () => {
    const limit = ofIdleNode('VmData') + 512 * MiB;
    expectCommitRefused(outcomesOf(underShell(`ulimit -d ${limit / 1024}`)));
  });

  it(
    'ulimit -v, just above what Node itself needs',
    unless(linux, 'counts reservations on Linux only'),
    () => {
      const limit = ofIdleNode('VmPeak') + 320 * MiB;
      expect(outcomesOf(underShell(`ulimit -v ${limit / 1024}`))).toMatchObject({
        reservation: SMALLER,
        'shadow under eager': SMALLER,
        'shadow under unreserved': SOME, // reserves nothing
        'shadow under lazy': SMALLER,
        'shadow under touch': SMALLER,
        heap: SOME, // checks its addresses only, for the sake of this very limit
        'replay under eager': { refused: true },
        'replay under lazy': { refused: true },
        'replay under touch': { refused: true },
      });
    },
  );

  // The limit is the whole machine's: who gives much memory back meanwhile makes room for ours.
  it('vm.overcommit_memory=2', { retry: 3 }, (context) => {
    const result = run(process.execPath, WITHOUT_OVERCOMMIT, '700', process.execPath, core);
    if (result.status === CANNOT) skipNow(context, NOT_ROOT);
    expectCommitRefused(outcomesOf(result));
  });

  it('a memory cgroup, which counts what is resident and nothing else', (context) => {
    const group = memoryGroup(512 * MiB) ?? skipNow(context, 'no memory cgroup can be made here');
    try {
      for (const outcome of Object.values(outcomesOf(group.run(process.execPath, core)))) {
        expect(outcome).toMatchObject(ALL);
      }
    } finally {
      group.remove();
    }
  });
});

describe('a memory cgroup', () => {
  it('that kills who touches too much leaves a row that says so, and nothing else', (context) => {
    const group = memoryGroup(512 * MiB) ?? skipNow(context, 'no memory cgroup can be made here');
    try {
      const args = ['measure', '--workload', 'growth', '--heap', '1GiB', '--policy', 'touch,lazy', '--json'];
      const { status, stdout } = group.run(process.execPath, MAIN, ...args);
      const { policies } = JSON.parse(stdout) as MeasureResult;
      for (const row of policies) {
        expect(row).toMatchObject({ ok: false, error: { code: 'ERR_PROCESS_LOST' } });
      }
      expect([status, policies.length, group.members()]).toEqual([1, 2, []]);
    } finally {
      group.remove();
    }
  });
});

describe('scripts/without-overcommit.mjs', () => {
  const settings = () =>
    ['memory', 'ratio', 'kbytes'].map((name) => readFileSync(`/proc/sys/vm/overcommit_${name}`, 'utf8'));

  it.runIf(linux)('sets back what it changed, even if it is killed', async (context) => {
    const before = settings();
    const script = 'echo "$(cat /proc/sys/vm/overcommit_memory)"; cat';
    const args = [WITHOUT_OVERCOMMIT, '4096', 'sh', '-c', script];
    const holder = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    const ended = once(holder, 'exit');
    const [said] = (await Promise.race([once(holder.stdout, 'data'), ended])) as [Buffer | number];
    if (said === CANNOT) skipNow(context, NOT_ROOT);
    expect(String(said)).toBe('2\n');
    holder.kill('SIGKILL');
    await ended;
    await expect.poll(settings, { timeout: 10_000 }).toEqual(before);
    holder.stdin.end(); // which ends its sh
  });
});
