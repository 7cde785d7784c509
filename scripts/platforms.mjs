// Builds and tests lazyshadow for every platform that can be had on this machine, and prints what came of it.
//
//     node scripts/platforms.mjs [--install | --ci] [--write] [--counts FILE] [PLATFORM | PLATFORM/COLUMN ...]
//     node scripts/platforms.mjs --addons [--install]
//     node scripts/platforms.mjs --tarball FILE
//
// --install: what is missing is installed, from Debian's packages and the npm registry. Without it, a cell of the
//            matrix whose tools are not here is skipped, with the reason.
// --ci:      --install, and a tool that is missing is a failure.
// --write:   puts the table into README.md.
// --counts:  writes how many tests passed, and what failed, in the form of vitest's JSON reporter.
// --addons:  only builds the addons, into prebuilds/, those whose tools are here; `npm pack` calls it.
// --tarball: only installs this package, into an empty project, and tries it with this Node.
// PLATFORM:  only these rows, or cells: linux-x64, "win32-x64/Node 22" ...
//
// Exits 1 if anything failed. scripts/platforms/matrix.mjs says what each cell is; docs/platforms.md explains.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeBetweenMarks } from './between-marks.mjs';
import { buildAddon } from './platforms/addons.mjs';
import { work } from './platforms/commands.mjs';
import { nativeHost } from './platforms/hosts.mjs';
import { cells } from './platforms/matrix.mjs';
import { tryInstalled } from './platforms/package.mjs';
import { describeResult, markdownTable } from './platforms/table.mjs';
import { TARGETS } from './platforms/targets.mjs';
import { allowInstalling, ToolMissing } from './platforms/tools.mjs';

/** Cells at a time: on two cores two of them leave a quarter of the time unused, waiting for disks, servers and sleeps. */
const LANES = 3;

const flag = { type: 'boolean', default: false };
const { values: options, positionals: wanted } = parseArgs({
  options: {
    install: flag,
    ci: flag,
    write: flag,
    addons: flag,
    counts: { type: 'string' },
    tarball: { type: 'string' },
  },
  allowPositionals: true,
});
if (options.ci || options.install) allowInstalling();
mkdirSync(work, { recursive: true });

/** One line of news; standard output belongs to who packs. */
function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs a cell to its result: built or tested, failed, or skipped because a tool is missing. */
async function resultOf({ platform, column, run, attempts }) {
  const empty = { platform, column, passed: 0, skips: {}, failures: [], notes: [] };
  const startedAt = performance.now();
  for (let attempt = 1; ; attempt++) {
    let result;
    try {
      result = { ...empty, ...(await run()) };
    } catch (error) {
      const isSkip = error instanceof ToolMissing && !options.ci;
      result = { ...empty, ...(isSkip ? { missing: error.message } : { failures: [error.message] }) };
    }
    result.seconds = Math.round((performance.now() - startedAt) / 1000);
    if (attempt > 1) result.notes = [...result.notes, `attempt ${attempt}`];
    if (result.failures.length === 0 || attempt === attempts) return result;
    say(`again, after: ${describeResult(result)}`);
  }
}

/**
 * Runs all cells, LANES at a time, each lock held by one; the long ones first, so that lanes end together. Gives their
 * results in the order of the cells.
 */
async function runAll(all) {
  const results = new Array(all.length);
  const isLong = (index) => Number(all[index].isLong);
  const waiting = new Set([...all.keys()].sort((a, b) => isLong(b) - isLong(a)));
  const held = new Set();
  let wake = () => {};
  async function lane() {
    while (waiting.size > 0) {
      const next = [...waiting].find((index) => !held.has(all[index].lock));
      if (next === undefined) {
        await new Promise((resolve) => (wake = resolve));
        continue;
      }
      waiting.delete(next);
      const { lock } = all[next];
      if (lock !== undefined) held.add(lock);
      results[next] = await resultOf(all[next]);
      held.delete(lock);
      wake();
      say(describeResult(results[next]));
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane));
  return results;
}

if (options.addons) {
  for (const target of Object.keys(TARGETS)) {
    try {
      say(`${target}: ${await buildAddon(target)}`);
    } catch (error) {
      if (!(error instanceof ToolMissing)) throw error;
      say(`${target}: left out: ${error.message}`);
    }
  }
} else if (options.tarball !== undefined) {
  const tried = await tryInstalled(resolve(options.tarball), await nativeHost(process.versions.node));
  for (const failure of tried.failures) console.log(failure);
  console.log(`${tried.passed} passed, ${tried.failures.length} failed`);
  process.exitCode = tried.failures.length > 0 ? 1 : 0;
} else {
  const chosen = cells().filter(
    ({ platform, column }) =>
      wanted.length === 0 || wanted.includes(platform) || wanted.includes(`${platform}/${column}`),
  );
  const results = await runAll(chosen);
  const table = markdownTable(results);
  const count = (of) => results.reduce((sum, result) => sum + of(result), 0);
  const failed = count(({ failures }) => failures.length);
  // A binary that was built and looked into counts as one test passed.
  const passed = count(({ passed, built, failures }) => (built && failures.length === 0 ? 1 : passed));
  console.log(`\n${table}\n\n${passed} passed, ${failed} failed in the matrix`);
  writeFileSync(join(work, 'results.json'), JSON.stringify(results, null, 2));
  if (options.counts !== undefined) {
    const testResults = results.flatMap(({ platform, column, failures }) => {
      const cell = { name: `${platform}, ${column}`, status: 'failed', assertionResults: [] };
      return failures.map((message) => ({ ...cell, message }));
    });
    writeFileSync(options.counts, JSON.stringify({ numPassedTests: passed, testResults }));
  }
  if (options.write) writeBetweenMarks('README.md', 'the matrix', table);
  process.exitCode = failed > 0 || chosen.length === 0 ? 1 : 0;
}
