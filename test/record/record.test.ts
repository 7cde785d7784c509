/**
 * Real Go programs, recorded, replayed, and compared with what Go's race detector printed in that run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatReport } from '../../lib/race/report-text.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { EVENT_WORDS, Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { replayTrace } from '../../lib/trace/replay.js';
import { lazyshadow, type Outcome } from '../support/cli.js';
import { goEnvironment, goProgram, hasGo, reportsIn } from '../support/go.js';
import { PATIENCE } from '../support/patience.js';
import { readAll } from '../support/traces.js';
import { skipNow, unless } from '../support/skips.js';

const MAIN = fileURLToPath(new URL('../../dist/esm/cli/main.js', import.meta.url));
const RECORDER = fileURLToPath(new URL('../../native/recorder', import.meta.url));
/** The first program is built with all of Go's library. */
const BUILD_TIMEOUT_MS = 300_000;

let directory: string;
let env: NodeJS.ProcessEnv;
const file = (name: string) => join(directory, name);
const run = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Outcome =>
  lazyshadow(args, { cwd: directory, env: { ...env, ...more } });

/** The replay's reports, as Go would print them. */
async function replayed(path: string): Promise<string[]> {
  const reader = await TraceReader.open(path);
  const shadow = new Shadow();
  try {
    const { reports, symbols } = await replayTrace(reader, shadow);
    return reports.map((report) => formatReport(report, { symbolize: (pc) => symbols.frames(pc) }));
  } finally {
    shadow.release();
    await reader.close();
  }
}

async function opsOf(path: string): Promise<number[]> {
  const { words } = await readAll(path);
  return Array.from({ length: words.length / EVENT_WORDS }, (_, i) => (words[i * EVENT_WORDS] ?? 0) & 0xff);
}

describe('recording Go programs', unless(hasGo, 'there is no Go for Linux amd64'), () => {
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'lazyshadow-record-'));
    env = goEnvironment(file('cache'));
    const { code, stderr } = run([
      'record',
      '--build-only',
      '-o',
      'clean',
      '--',
      'go',
      'run',
      goProgram('clean'),
    ]);
    expect(stderr).toContain('LAZYSHADOW_RECORD');
    expect(code).toBe(0);
  }, BUILD_TIMEOUT_MS);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('has C that compilers have nothing to say about', () => {
    const sources = readdirSync(RECORDER).filter((name) => name.endsWith('.c'));
    const flags = '-std=c17 -O2 -Wall -Wextra -Wconversion -Werror -DHAVE_FETCH_AND_OR -c -o /dev/null'.split(
      ' ',
    );
    for (const source of sources) {
      const { status, stderr } = spawnSync('cc', [...flags, join(RECORDER, source)], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
    }
  });

  it.each(['channel', 'mutex', 'atomics', 'finalizer', 'maprace', 'many', 'timers'])(
    'replays %s to the reports that Go printed',
    async (name) => {
      const recording = file(`${name}.trc`);
      const { code, stderr } = run(['record', '-o', recording, '--', 'go', 'run', goProgram(name)]);
      expect(code, stderr).toBe(66);
      const printed = reportsIn(stderr);
      expect(printed.length).toBeGreaterThan(0);
      expect(stderr).toContain(`Found ${printed.length} data race(s)`);
      const replay = run(['replay', recording]);
      expect(replay.stdout).toBe(printed.join(''));
      expect(replay.code).toBe(66);
      const ops = await opsOf(recording);
      expect(ops[0]).toBe(Op.Initialize);
      expect(ops.at(-1)).toBe(Op.Finalize);
      expect(stderr).toMatch(/recorded [\d,]+ events, .* in .*\.trc\n.*it ended with exit code 66/);
    },
  );

  it('runs a program as it would run without: arguments, environment, processors, children', async () => {
    const { code, stdout, stderr } = run(['record', '-o', 'c.trc.gz', '--', './clean', 'a', 'b c'], {
      GOMAXPROCS: '1',
    });
    expect(stdout).toBe('16000 1 a|b c <nil>\n');
    expect(code, stderr).toBe(0);
    expect(readFileSync(file('c.trc.gz')).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
    expect(readdirSync(directory).filter((name) => name.startsWith('c.trc'))).toEqual(['c.trc.gz']);
    expect(await replayed(file('c.trc.gz'))).toEqual([]);
    // Without the variable it records nothing; with it, and without lazyshadow, it still does.
    spawnSync('./clean', { ...PATIENCE, cwd: directory, env });
    const alsoAlone = { ...env, LAZYSHADOW_RECORD: 'alone-%n-%p.trc' };
    spawnSync('./clean', { ...PATIENCE, cwd: directory, env: alsoAlone });
    const alone = readdirSync(directory).filter((name) => name.startsWith('alone'));
    expect(alone).toEqual([expect.stringMatching(/^alone-clean-\d+\.trc$/)]);
    expect(await replayed(file(alone[0] ?? ''))).toEqual([]);
  });

  it('records a program with C in it, and not the child that the C forks', async () => {
    const { code, stdout, stderr } = run(['record', '-o', 'cgo.trc', '--', 'go', 'run', goProgram('cgo')]);
    expect(stdout).toBe('28 7\n');
    expect(code, stderr).toBe(0);
    expect(await replayed(file('cgo.trc'))).toEqual([]);
    expect((await opsOf(file('cgo.trc'))).filter((op) => op === Op.Finalize)).toHaveLength(1);
  });

  it.each([
    ['exit', 3],
    ['panic', 2],
  ])('has all of a program that ends by %s', async (name, exitCode) => {
    const { code, stderr } = run(['record', '--', 'go', 'run', goProgram(name)]);
    expect(code).toBe(exitCode);
    expect(stderr).toContain(`it ended with exit code ${exitCode}`);
    // Named after the program, as nothing else was said.
    const { words } = await readAll(file('main.trc'));
    // The last that main does is to receive what another closed. Whether that one has ended by then is chance.
    const closedBy = new Map<number, number>();
    let received = false;
    for (let at = 0; at < words.length; at += EVENT_WORDS) {
      const [head = 0, goroutine = 0, address = 0] = words.subarray(at, at + 3);
      if ((head & 0xff) === Op.Release) closedBy.set(address, goroutine);
      if ((head & 0xff) === Op.Acquire) received = (closedBy.get(address) ?? goroutine) !== goroutine;
    }
    expect(received).toBe(true);
    expect(existsSync(file('main.trc.part'))).toBe(false);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('has all of a program that %s ends', async (signal, exitCode) => {
    const recording = file(`${signal}.trc`);
    const args = [MAIN, 'record', '-o', recording, '--', 'go', 'run', goProgram('wait')];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    await once(child.stdout, 'data');
    child.kill(signal);
    const [code] = (await once(child, 'close')) as [number];
    expect(code, stderr).toBe(exitCode);
    expect(stderr).toContain(`it ended with signal ${signal}`);
    expect(await replayed(recording)).toEqual([]);
  });

  it('finishes the recording of a program that was killed', async () => {
    expect(run(['record', '--build-only', '-o', 'wait', '--', 'go', 'run', goProgram('wait')]).code).toBe(0);
    const child = spawn('./wait', {
      cwd: directory,
      env: { ...env, LAZYSHADOW_RECORD: 'killed.trc' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const inspected = run(['inspect', 'killed.trc']);
    expect(inspected.code).toBe(2);
    expect(inspected.stderr).toContain('lazyshadow record --finish killed.trc');
    expect(run(['record', '--finish', 'killed.trc']).stderr).toMatch(/killed\.trc has [\d,]+ events/);
    const ops = await opsOf(file('killed.trc'));
    expect(ops.length).toBeGreaterThan(100);
    expect(existsSync(file('killed.trc.part'))).toBe(false);
  });

  it('stops where it is told to, and lets the program go on', async () => {
    const counted = run(['record', '--max-events', '10000', '-o', 'short.trc', '--', './clean']);
    expect(counted.stdout).toMatch(/^16000 /);
    expect(counted.code).toBe(0);
    expect(counted.stderr).toContain('the recording stops after 10000 events: that is --max-events');
    expect(await opsOf(file('short.trc'))).toHaveLength(10000);
    const sized = run(['record', '--max-size', '200k', '-o', 'short.trc', '--', './clean']);
    expect(sized.stderr).toContain('--max-size');
    const { length } = readFileSync(file('short.trc'));
    expect(length).toBeLessThanOrEqual(204_800);
    expect(length).toBeGreaterThan(190_000);
    await readAll(file('short.trc'));
  });

  it('keeps what it has when the disk is full', async (context) => {
    mkdirSync(file('small'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', file('small')]);
    if (mounted.status !== 0) skipNow(context, 'a small disk cannot be mounted here');
    try {
      const { code, stdout, stderr } = run(['record', '-o', 'small/x.trc', '--', './clean']);
      expect(stdout).toMatch(/^16000 /);
      expect(code).toBe(0);
      expect(stderr).toContain('No space left on device');
      expect((await opsOf(file('small/x.trc'))).length).toBeGreaterThan(10_000);
    } finally {
      spawnSync('umount', [file('small')]);
    }
  });

  it('records each test program of go test', async () => {
    for (const name of ['one', 'two']) {
      mkdirSync(file(`module/${name}`), { recursive: true });
      const body = `func TestIt(t *testing.T) { if os.Getenv("GOROOT") != "" { t.Log(os.Getenv("GOROOT")) } }`;
      writeFileSync(
        file(`module/${name}/it_test.go`),
        `package ${name}\n\nimport (\n\t"os"\n\t"testing"\n)\n\n${body}\n`,
      );
    }
    writeFileSync(file('module/go.mod'), 'module example.com/m\n\ngo 1.19\n');
    const options = { cwd: file('module'), env };
    const { code, stdout, stderr } = lazyshadow(
      ['record', '-o', '../tests.trc', '--', 'go', 'test', '-v', '-run', 'It', './...'],
      options,
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('--- PASS: TestIt');
    expect(stdout).not.toContain('lazyshadow');
    const recordings = readdirSync(directory).filter((name) => name.startsWith('tests'));
    expect(recordings).toEqual(['tests-one.test.trc', 'tests-two.test.trc']);
    for (const name of recordings) expect(await replayed(file(name))).toEqual([]);
  });

  it('records, replays and reports in one step', () => {
    const { code, stdout, stderr } = run(['run-go', '--', 'go', 'run', goProgram('mutex')]);
    expect(code).toBe(66);
    expect(stdout).toBe(`200 2\n${reportsIn(stderr).join('')}`);
    expect(reportsIn(stderr)).toHaveLength(1);
  });

  it('says what is wrong with a command', () => {
    writeFileSync(file('broken.go'), 'package main\n\nfunc main() { x }\n');
    const broken = run(['record', '--', 'go', 'run', 'broken.go']);
    // 2 in Go 1.19, 1 later.
    expect(broken.code).toBeGreaterThan(0);
    expect(broken.stderr).toMatch(
      /broken\.go:3.*\n[\s\S]*nothing was recorded; it ended with exit code [12]/,
    );
    expect(run(['record']).stderr).toContain('there is nothing to record');
    expect(run(['record', '--', 'go', 'vet']).stderr).toContain('go vet runs no program');
    expect(run(['record', '--', '/bin/true']).stderr).toContain('--build-only');
    expect(run(['record', '--', './nothing']).stderr).toContain('cannot be started');
    expect(run(['record', '--', '/nowhere/go', 'run', '.']).stderr).toContain('Install Go 1.19 or later');
    expect(run(['record', '--', 'go', 'run', '.'], { GOOS: 'windows' }).stderr).toContain('linux/amd64');
    expect(run(['record', '--', 'go', 'run', goProgram('exit')], { CC: 'no-such-cc' }).stderr).toContain(
      'Install a C compiler',
    );
  });

  it('made one overlay, of links, and removes it', () => {
    const [overlay = '', ...others] = readdirSync(file('cache/lazyshadow/go'));
    expect(others).toEqual([]);
    expect(overlay).toMatch(/^go1\.\d+.*-[0-9a-f]{12}$/);
    expect(run(['record', '--clean']).code).toBe(0);
    expect(existsSync(file('cache/lazyshadow/go'))).toBe(false);
  });
});
