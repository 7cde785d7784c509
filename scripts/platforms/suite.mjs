// Runs the tests with a platform's own Node and its prebuilt addon, in a copy of the checkout that holds nothing else
// that could be loaded in its stead.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execute, root, work } from './commands.mjs';
import { addonPath } from './addons.mjs';

const COPIED = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'typedoc.json',
  'vitest.config.ts',
  'binding.gyp',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'LICENSE',
  'README.md',
  '.ci',
  'data',
  'dist',
  'docs',
  'lib',
  'native',
  'scripts',
  'test',
];

const MINUTES = 60_000;

/** A copy of the checkout for a target: its addon, the host's node_modules. Gives its folder. */
function stage(target, modules) {
  const folder = join(work, 'stage', target);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const entry of COPIED) {
    if (existsSync(join(root, entry))) cpSync(join(root, entry), join(folder, entry), { recursive: true });
  }
  const addon = join(folder, 'build', 'Release', 'lazyshadow.node');
  mkdirSync(dirname(addon), { recursive: true });
  cpSync(addonPath(target), addon);
  symlinkSync(modules, join(folder, 'node_modules'), 'junction');
  return folder;
}

/**
 * Runs vitest.
 * @param target whose addon
 * @param host from hosts.mjs
 * @param files what to give vitest to choose tests by; none for all
 * @returns passed, failed and skipped tests, and the names and messages of those that failed
 */
export function runSuite(target, host, { files = [], env = {}, flags = [], timeoutMs = 15 * MINUTES } = {}) {
  const folder = stage(target, host.modules);
  const results = join(folder, 'results.json');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--pool=forks'];
  const reporters = ['--reporter=default', '--reporter=json', '--outputFile.json=results.json'];
  let crash = '';
  try {
    execute([...host.start, ...vitest, ...reporters, ...flags, ...files], {
      cwd: folder,
      env: { ...host.env, ...env, NO_COLOR: '1', CI: 'true' },
      log: join(work, `${target}-suite.log`),
      timeoutMs,
    });
  } catch (error) {
    crash = error.message;
  }
  // A process that crashed can still have ended with 0, and one that ended badly has tests that say why.
  if (!existsSync(results)) throw new Error(`no results\n${crash}`);
  const { numPassedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(results, 'utf8'),
  );
  const failures = testResults.flatMap(({ name, status, message, assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0 && status === 'failed') return [`${name}: ${message}`];
    return failed.map((test) => `${name}: ${test.fullName}\n${test.failureMessages.join('\n')}`);
  });
  if (crash !== '' && failures.length === 0) failures.push(crash);
  return { passed: numPassedTests, skipped: numPendingTests + numTodoTests, failures };
}
