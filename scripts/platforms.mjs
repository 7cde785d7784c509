// Builds and tests lazyshadow for every platform that can be had on this machine, and prints what came of it.
//
//     node scripts/platforms.mjs [--install | --ci] [--write] [PLATFORM ...]
//     node scripts/platforms.mjs --addons [--install]
//
// --install: what is missing is installed, from Debian's packages and the npm registry. Without it, a cell of the
//            matrix whose tools are not here is skipped, with the reason.
// --ci:      --install, and a skip is a failure.
// --write:   puts the table into README.md.
// --addons:  only builds the addons, into prebuilds/, those whose tools are here; `npm pack` calls it.
// PLATFORM:  only these rows: linux-x64, win32-x64 ...
//
// Exits 1 if anything failed. scripts/platforms/matrix.mjs says what each cell is; docs/platforms.md explains.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon } from './platforms/addons.mjs';
import { work } from './platforms/commands.mjs';
import { cells, leftOut } from './platforms/matrix.mjs';
import { describeResults, markdownTable, writeIntoReadme } from './platforms/table.mjs';
import { TARGETS } from './platforms/targets.mjs';
import { allowInstalling, ToolMissing } from './platforms/tools.mjs';

const options = new Set(process.argv.slice(2).filter((argument) => argument.startsWith('--')));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const isCi = options.has('--ci');
if (isCi || options.has('--install')) allowInstalling();
mkdirSync(work, { recursive: true });

/** One line of news; standard output belongs to who packs. */
function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs a cell to its result: built or tested, failed, or skipped because a tool is missing. */
function outcomeOf({ platform, column, run, attempts }) {
  const startedAt = performance.now();
  let result;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      result = run();
    } catch (error) {
      if (error instanceof ToolMissing && !isCi) return { platform, column, skip: error.message };
      result = { failures: [error.message] };
    }
    if ((result.failures ?? []).length === 0) {
      if (attempt > 1) result.notes = [...(result.notes ?? []), `attempt ${attempt}`];
      break;
    }
    if (attempt < attempts) say(`${platform}, ${column}: again, after:\n${result.failures.join('\n')}`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  return { passed: 0, skipped: 0, failures: [], notes: [], ...result, platform, column, seconds };
}

if (options.has('--addons')) {
  for (const target of Object.keys(TARGETS)) {
    try {
      say(`${target}: ${buildAddon(target)}`);
    } catch (error) {
      if (!(error instanceof ToolMissing)) throw error;
      say(`${target}: left out: ${error.message}`);
    }
  }
} else {
  const results = [];
  for (const cell of cells()) {
    if (wanted.length > 0 && !wanted.includes(cell.platform)) continue;
    const outcome = outcomeOf(cell);
    results.push(outcome);
    say(describeResults([outcome]));
  }
  console.log(`\n${markdownTable(results)}\n`);
  console.log(`Left out under Wine and qemu:\n- ${leftOut().join('\n- ')}`);
  writeFileSync(join(work, 'results.json'), JSON.stringify(results, null, 2));
  if (options.has('--write')) writeIntoReadme(markdownTable(results));
  process.exitCode = results.some(({ failures = [] }) => failures.length > 0) ? 1 : 0;
}
