/**
 * What CI says at its end: what failed, in which part, and how much of everything.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const SCRIPT = 'scripts/count-results.mjs';
const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Results of which two tests passed. */
function results(name: string, ...testResults: readonly object[]): string {
  const file = join(directory, name);
  writeFileSync(file, JSON.stringify({ numPassedTests: 2, testResults }));
  return file;
}

function counted(...parts: readonly string[]): { status: number | null; lines: readonly string[] } {
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT, ...parts], { encoding: 'utf8' });
  return { status, lines: stdout.split('\n').filter((line) => line !== '') };
}

const passes = { name: '/here/test/a.test.ts', status: 'passed', assertionResults: [{ status: 'passed' }] };

it('counts what passed in every part', () => {
  const { status, lines } = counted(`tests:0:${results('passed', passes)}`, 'speed:0');
  expect({ status, lines }).toEqual({ status: 0, lines: ['3 passed, 0 failed'] });
});

it('names each test that failed, and each file that did not load', () => {
  const failed = { status: 'failed', fullName: 'adds up', failureMessages: ['1 is not 2'] };
  const file = results(
    'failed',
    { ...passes, status: 'failed', assertionResults: [failed, ...passes.assertionResults] },
    { name: '/here/test/b.test.ts', status: 'failed', message: 'no such module', assertionResults: [] },
  );
  const { status, lines } = counted(`tests:1:${file}`);
  expect({ status, lines }).toEqual({
    status: 1,
    lines: [
      'failed: tests: test/a.test.ts: adds up',
      '1 is not 2',
      'failed: tests: test/b.test.ts: no such module',
      '2 passed, 2 failed',
    ],
  });
});

it('counts a part that ended badly, or left nothing, whatever its tests say', () => {
  const { status, lines } = counted(`tests:137:${results('ended', passes)}`, 'faults:0:nowhere', 'speed:1');
  expect({ status, lines }).toEqual({
    status: 1,
    lines: [
      'failed: tests: ended with status 137',
      'failed: faults: ended with status 0, and left no results',
      'failed: speed: ended with status 1',
      '2 passed, 3 failed',
    ],
  });
});

it('fails where nothing passed', () => {
  expect(counted().status).toBe(1);
});
