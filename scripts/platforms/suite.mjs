// Runs the tests with a platform's own Node and its prebuilt addon, in a copy of the checkout that holds nothing else
// that could be loaded in its stead.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failuresOf, shortName } from '../vitest-results.mjs';
import { execute, root, work } from './commands.mjs';

const COPIED = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.cjs.json',
  'tsconfig.esm.json',
  'typedoc.json',
  'vitest.config.ts',
  'binding.gyp',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'LICENSE',
  'README.md',
  'SECURITY.md',
  '.ci',
  '.github',
  'data',
  'dist',
  'docs',
  'lib',
  'native',
  'scripts',
  'test',
];

const MINUTES = 60_000;
/**
 * Twice what the whole suite takes in one of three lanes on a machine whose page faults cost ten times the usual; and
 * no longer, because a suite that hangs must not cost the others their time.
 */
const LONGEST_SUITE_MS = 30 * MINUTES;

/** A copy of the checkout with this addon and the host's node_modules. Gives its folder. */
function stage(name, binary, modules) {
  const folder = join(work, 'stage', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const entry of COPIED) {
    if (existsSync(join(root, entry))) cpSync(join(root, entry), join(folder, entry), { recursive: true });
  }
  const addon = join(folder, 'build', 'Release', 'lazyshadow.node');
  mkdirSync(dirname(addon), { recursive: true });
  cpSync(binary, addon);
  symlinkSync(modules, join(folder, 'node_modules'), 'junction');
  return folder;
}

/**
 * Runs vitest.
 * @param name of the run: its folder's and its log's
 * @param addon the binary
 * @param host from hosts.mjs
 * @param files what to give vitest to choose tests by; none for all
 * @returns how many tests passed, how many were skipped for each reason, and what failed
 */
export async function runSuite(
  name,
  addon,
  host,
  { files = [], env = {}, flags = [], timeoutMs = LONGEST_SUITE_MS },
) {
  const folder = stage(name, addon, host.modules);
  const results = join(folder, 'results.json');
  // One at a time: the lanes are what runs at once.
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--pool=forks', '--maxWorkers=1'];
  // Verbose, which says of each test that it has ended: so the log of a suite that hangs shows in which.
  const reporters = ['--reporter=verbose', '--reporter=json', '--outputFile.json=results.json'];
  let crash = '';
  try {
    await execute([...host.start, ...vitest, ...reporters, ...flags, ...files], {
      cwd: folder,
      env: { ...host.env, ...env, NO_COLOR: '1', CI: 'true' },
      log: join(work, `${name}-suite.log`),
      timeoutMs,
    });
  } catch (error) {
    crash = error.message;
  }
  // A process that crashed can still have ended with 0, and one that ended badly has tests that say why.
  if (!existsSync(results)) throw new Error(`no results\n${crash}`);
  const report = JSON.parse(readFileSync(results, 'utf8'));
  const failures = failuresOf(report);
  if (crash !== '' && failures.length === 0) failures.push(crash);
  const skips = {};
  for (const { name: file, assertionResults } of report.testResults) {
    for (const { status, fullName, meta } of assertionResults) {
      if (status === 'passed' || status === 'failed') continue;
      const reason = meta?.skipReason;
      if (reason === undefined) failures.push(`${shortName(file)}: ${fullName}\nskipped without a reason`);
      else skips[reason] = (skips[reason] ?? 0) + 1;
    }
  }
  return { passed: report.numPassedTests, skips, failures };
}
