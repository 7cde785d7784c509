/**
 * What the command line does on a terminal and nowhere else: bars, tables that are drawn anew, colours; and that Control-C
 * ends it at once, by its signal, with the cursor back and nothing left behind.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lazyshadow } from '../support/cli.js';
import { goEnvironment, goProgram, hasGo } from '../support/go.js';
import { linux } from '../support/proc.js';
import { unless } from '../support/skips.js';
import { CONTROL_C, onTerminal, onTerminalMeanwhile } from '../support/terminal.js';
import { program, programBytes } from '../support/recordings.js';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const COLOUR = /\u001b\[\d+(;\d+)*m/;
const SIGINT = 2;

const hasTerminals = linux && spawnSync('python3', ['--version']).status === 0;
const unlessNoTerminal = unless(hasTerminals, 'no terminal: they are driven by Python, on Linux');

let directory: string;
const file = (name: string) => join(directory, name);
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lazyshadow-terminal-'));
  writeFileSync(file('churn.trc'), programBytes(program('churn')));
  writeFileSync(file('racymap.trc'), programBytes(program('racymap')));
});
afterAll(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));

/** Fails unless whatever hid the cursor has shown it again, last of all. */
function expectCursor(output: string): void {
  expect(output).toContain(HIDE_CURSOR);
  expect(output.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(output.lastIndexOf(HIDE_CURSOR));
}

/** Processes whose environment has a variable of this name, as whatever a marked program starts has. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/environ`, 'latin1').includes(`${mark}=`);
    } catch {
      return false; // it has ended, or is not ours
    }
  });
}

describe('on a terminal', unlessNoTerminal, () => {
  it('measure has a bar that names the policy at work, and is gone before the table', () => {
    const { output, code } = onTerminal(['measure', '--workload', 'growth', '--heap', '16M']);
    expect(code).toBe(0);
    for (const policy of ['eager', 'unreserved', 'lazy', 'touch'])
      expect(output).toMatch(new RegExp(`measuring [=-]+ \\d+ % ${policy}`));
    expectCursor(output);
    const table = output.indexOf('growth workload');
    expect(output.slice(table)).not.toContain('measuring');
    expect(table).toBeGreaterThan(output.lastIndexOf('measuring'));
  });

  it('replay and report have bars', () => {
    const replay = onTerminal(['replay', file('churn.trc')]);
    expect(replay.code).toBe(0);
    expect(replay.output).toMatch(/churn\.trc [=-]+ \d+ % \d+\.\d M events\/s/);
    expectCursor(replay.output);
    const report = onTerminal(['report', file('racymap.trc'), '-o', file('racymap.html')]);
    expect(report.code).toBe(0);
    expect(report.output).toMatch(/replaying [=-]+ \d+ %/);
    expect(report.output).toMatch(/measuring [=-]+ \d+ % touch/);
    expectCursor(report.output);
  });

  it('top draws its table in place, with bars where there is room, and ends with the result', () => {
    const args = ['top', '--workload', 'growth', '--heap', '16M', '--seconds', '1'];
    const { output, code } = onTerminal(args);
    expect(code).toBe(0);
    expectCursor(output);
    // Rows are drawn over: the cursor goes up, more often than there are rows in the end.
    expect(output.match(/\u001b\[\d*[AF]/g)?.length ?? 0).toBeGreaterThan(4);
    const text = stripVTControlCharacters(output);
    expect(text).toMatch(/lazy +\d+\.\d s +\d+ MiB +577\.1 GiB .*█+▒*·+/);
    expect(text.slice(text.lastIndexOf('growth workload'))).toMatch(/touch +577\.1 GiB/);
    const less = ['top', '--workload', 'growth', '--heap', '8M', '--seconds', '1'];
    const narrow = stripVTControlCharacters(onTerminal(less, { columns: 90 }).output);
    expect(narrow).toMatch(/lazy +\d+\.\d s/);
    expect(narrow).not.toContain('█');
    // In the usual 80 columns a row is still a row: it begins with a policy, ends with its bar, and is not broken.
    const usual = stripVTControlCharacters(onTerminal(less, { columns: 80 }).output);
    const rows = usual.slice(0, usual.lastIndexOf('growth workload')).match(/^.*\d\.\d s .*$/gm) ?? [];
    expect(rows.length).toBeGreaterThan(4);
    expect(rows.some((row) => row.includes('█'))).toBe(true);
    const whole = /^(eager|unreserved|lazy|touch) .*B( +[█▒·]+)?$/;
    expect(rows.map((row) => row.trimEnd()).filter((row) => !whole.test(row) || row.length > 80)).toEqual([]);
  });

  it('colours are there, and off with NO_COLOR or on a dumb terminal', () => {
    const args = ['measure', '--workload', 'growth', '--heap', '8M', '--policy', 'touch'];
    expect(onTerminal(args).output).toMatch(COLOUR);
    expect(onTerminal(args, { env: { NO_COLOR: '1' } }).output).not.toMatch(COLOUR);
    expect(onTerminal(args, { env: { TERM: 'dumb' } }).output).not.toMatch(COLOUR);
    expect(onTerminal(['replay', '/nowhere']).output).toMatch(COLOUR);
    expect(onTerminal(['doctor'], { env: { NO_COLOR: '1' } }).output).not.toMatch(COLOUR);
  });
});

describe('Control-C', unlessNoTerminal, () => {
  it.each([
    [['measure', '--workload', 'growth', '--heap', '8G'], '%'],
    [['top', '--seconds', '83', '--heap', '1G'], 'touch'],
    [['replay', 'churn.trc'], 'M events/s'],
    [['report', 'churn.trc', '-o', 'never.html'], '%'],
  ])('ends %j by its signal, with the cursor back', (args, waitFor) => {
    const before = readdirSync(directory);
    const { output, code, signal } = onTerminal(args, { waitFor, type: CONTROL_C, cwd: directory });
    expect({ code, signal }).toEqual({ code: null, signal: SIGINT });
    expectCursor(output);
    expect(output).not.toContain('failed');
    expect(readdirSync(directory)).toEqual(before);
  });

  it('leaves no process behind', async () => {
    const mark = `LAZYSHADOW_TEST_${process.pid}`;
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, processesWith(mark).length)), 50);
    await onTerminalMeanwhile(['top', '--seconds', '83'], {
      waitFor: 'touch',
      type: CONTROL_C,
      env: { [mark]: '1' },
    });
    clearInterval(watch);
    // The command line, its four children, and what holds the terminal.
    expect(most).toBeGreaterThanOrEqual(5);
    await expect.poll(() => processesWith(mark), { timeout: 20_000 }).toEqual([]);
  });

  it('leaves no half of a file of reports', () => {
    const args = ['replay', '--json', '--output', file('half.json'), file('racymap.trc'), file('churn.trc')];
    const { signal } = onTerminal(args, { waitFor: 'churn.trc', type: CONTROL_C });
    expect(signal).toBe(SIGINT);
    expect(existsSync(file('half.json'))).toBe(false);
  });

  it('during a write to a device leaves the device', () => {
    const args = ['replay', '--output', '/dev/null', file('churn.trc')];
    expect(onTerminal(args, { waitFor: '%', type: CONTROL_C }).signal).toBe(SIGINT);
    expect(existsSync('/dev/null')).toBe(true);
  });
});

describe('Control-C in a recorded program', unless(hasTerminals && hasGo, 'no terminal or no Go'), () => {
  it('is the program’s: the recording is finished, and nothing else is left', { timeout: 300_000 }, () => {
    const temporary = mkdtempSync(join(directory, 'tmp-'));
    const env = { ...goEnvironment(file('cache')), TMPDIR: temporary };
    const args = ['record', '-o', 'wait.trc', '--', 'go', 'run', goProgram('wait')];
    const { output, code } = onTerminal(args, { waitFor: 'running', type: CONTROL_C, env, cwd: directory });
    expect(output).toContain('signal SIGINT');
    expect(code).toBe(128 + SIGINT);
    expect(lazyshadow(['inspect', file('wait.trc')]).code).toBe(0);
    expect(readdirSync(temporary)).toEqual([]);
    expect(readdirSync(directory).filter((name) => name.includes('.part'))).toEqual([]);
  });
});

describe('into a pipe', () => {
  it('top prints a line for each sample and the result, with no escape sequence', () => {
    const args = [
      'top',
      '--workload',
      'sparse',
      '--heap',
      '256M',
      '--seconds',
      '1',
      '--policy',
      'lazy,touch',
    ];
    const { code, stdout, stderr } = lazyshadow(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toContain('\u001b');
    const lines = stdout.split('\n');
    const sampled = lines.filter((line) => /^\d+\.\d s {2}(lazy|touch) {2}heap .* resident /.test(line));
    expect(sampled.length).toBeGreaterThan(8);
    expect(stdout).toMatch(/^touch +577\.1 GiB/m);
  });

  it('nothing has colours or bars, FORCE_COLOR or not', () => {
    for (const args of [
      ['doctor'],
      ['measure', '--workload', 'growth', '--heap', '8M'],
      ['replay', '/nowhere'],
    ]) {
      const { stdout, stderr } = lazyshadow(args, { env: { ...process.env, FORCE_COLOR: '1' } });
      expect(stdout + stderr).not.toContain('\u001b');
    }
  });
});

describe('completion', () => {
  const complete = (...words: string[]) =>
    lazyshadow(['complete', '--', ...words], { cwd: directory })
      .stdout.split('\n')
      .map((line) => line.split('\t')[0] ?? '')
      .filter((line) => line !== '' && !line.startsWith(':'));

  it('knows commands, options and their values, and recordings', () => {
    expect(complete('re')).toEqual(['record', 'replay', 'report']);
    expect(complete('measure', '--pl')).toEqual(['--plot']);
    expect(complete('measure', '--workload', 'heap')).toEqual(['heap-cache', 'heap-tree', 'heap-large']);
    expect(complete('replay', 'ra')).toEqual(['racymap.trc']);
    expect(complete('replay', '../')).toContain(`../${directory.split('/').at(-1)}/`);
    expect(complete('top', '--trace', 'chu')).toEqual(['churn.trc']);
    expect(complete('measure', 'chu')).toEqual(['churn.trc']);
  });

  it.each(['bash', 'zsh', 'fish', 'powershell'])('has a script for %s', (shell) => {
    const { code, stdout } = lazyshadow(['completion', shell]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/lazyshadow complete '?--/);
  });

  it('works in bash', unless(linux, 'bash is taken for granted on Linux only'), () => {
    writeFileSync(file('completion.bash'), lazyshadow(['completion', 'bash']).stdout);
    // What the package bash-completion has, for a line without quotes.
    const script = `
      lazyshadow() { "$NODE" "$MAIN" "$@"; }
      _get_comp_words_by_ref() { words=("\${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=\${words[cword]}; }
      compopt() { :; }
      source "$1"
      COMP_WORDS=(lazyshadow measure --work) COMP_CWORD=2
      __lazyshadow_complete
      echo "\${COMPREPLY[*]}"
      complete -p lazyshadow`;
    const env = { ...process.env, NODE: process.execPath, MAIN: join(process.cwd(), 'dist/esm/cli/main.js') };
    const shown = execFileSync('bash', ['-c', script, '-', file('completion.bash')], {
      encoding: 'utf8',
      env,
    });
    expect(shown).toBe('--workload\ncomplete -F __lazyshadow_complete lazyshadow\n');
  });

  it('refuses another shell', () => {
    const { code, stderr } = lazyshadow(['completion', 'tcsh']);
    expect(code).toBe(2);
    expect(stderr).toContain('tcsh');
  });
});
