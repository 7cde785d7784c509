/**
 * The command line as a whole: help, version, exit codes, doctor.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { lazyshadow, lazyshadowUnder } from '../support/cli.js';
import { windows } from '../support/proc.js';
import { unless } from '../support/skips.js';

const manifest = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'),
) as { version: string };

describe('lazyshadow', () => {
  it('--version prints the version of the package', () => {
    expect(lazyshadow(['--version'])).toMatchObject({ code: 0, stdout: `${manifest.version}\n` });
  });

  it('an unknown command ends with exit code 2 and a suggestion', () => {
    const { code, stderr } = lazyshadow(['mesure']);
    expect(code).toBe(2);
    expect(stderr).toContain('measure');
  });
});

describe('help', () => {
  const commands = [
    'record',
    'run-go',
    'replay',
    'report',
    'measure',
    'top',
    'inspect',
    'doctor',
    'completion',
  ];

  it('lists every command, and each has help with an example, on standard output', () => {
    const { code, stdout, stderr } = lazyshadow(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const listed = [...stdout.matchAll(/^ {2}([a-z-]+) (?:\[|<)/gm)].map(([, name]) => name);
    expect(listed).toEqual([...commands, 'help']);
    expect(stdout).toContain('Exit codes: 0 done');
    for (const command of commands) {
      const help = lazyshadow([command, '--help']);
      expect({ command, code: help.code, stderr: help.stderr }).toEqual({ command, code: 0, stderr: '' });
      expect(help.stdout).toMatch(new RegExp(`Examples?:\\n {2}lazyshadow ${command}\\b`));
    }
  });

  it.each(commands)('%s suggests the option that an unknown one is like', (command) => {
    const options = [...lazyshadow([command, '--help']).stdout.matchAll(/^ +(?:-\w, )?--([a-z-]+)/gm)];
    const option = options[0]?.[1] ?? '';
    const { code, stdout, stderr } = lazyshadow([command, `--${option}x`, 'x']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`Did you mean --${option}?`);
  });
});

describe('doctor', () => {
  interface Finding {
    name: string;
    value: string | number | null;
    advice: string | null;
  }
  const findings = (limits?: string): Finding[] => {
    const outcome =
      limits === undefined ? lazyshadow(['doctor', '--json']) : lazyshadowUnder(limits, ['doctor', '--json']);
    expect(outcome.code).toBe(0);
    return JSON.parse(outcome.stdout) as Finding[];
  };

  it('says page size, granularity, limits, and whether the shadow ranges are free', () => {
    const names = findings().map(({ name }) => name);
    for (const name of [
      'page size',
      'allocation granularity',
      'commit limit',
      'shadow range of layout go-unix-x4',
    ]) {
      expect(names).toContain(name);
    }
    expect(lazyshadow(['doctor']).stdout).toMatch(/^page size +\d+ KiB$/m);
  });

  const hasLimit = unless(!windows, 'Windows has no ulimit');
  it('has advice for a limit on address space, and none without', hasLimit, () => {
    const limit = (all: Finding[]) => all.find(({ name }) => name.startsWith('address space limit'));
    expect(limit(findings())).toMatchObject({ value: null, advice: null });
    const limited = limit(findings(`ulimit -v ${8 * 2 ** 20}`));
    expect(limited?.value).toBe(8 * 2 ** 30);
    expect(limited?.advice).toContain('heapBytes');
  });
});
