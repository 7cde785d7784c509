// Builds native/ with sanitizers and runs it under them. docs/sanitizers.md says what each part does.
//
//     npm run test:sanitizers                             the short form, as CI runs it: minutes
//     npm run test:sanitizers -- [--install | --ci] [--minutes N] [PART ...]
//
// --install: what is missing is installed, from Debian's packages and the npm registry. Without it, a part whose
//            tools are not here is skipped, with the reason.
// --ci:      --install, and a skip is a failure.
// --minutes: the long form: the whole suite, and so long for each of the C++ programs.
// PART:      mistakes, contract, threads, parsers, addon; all if none is named.
//
// Figures are printed, and added to the file LAZYSHADOW_FAULTS_FIGURES if scripts/faults.mjs asks for them. Exits 1
// if anything failed.
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { allowInstalling, ToolMissing } from './platforms/tools.mjs';
import { testAddon } from './sanitizers/addon.mjs';
import { makeMistakes } from './sanitizers/mistakes.mjs';
import { fuzzParsers } from './sanitizers/parsers.mjs';
import { holdToContract, runThreads } from './sanitizers/programs.mjs';
import { untilOvercommit } from './sanitizers/reports.mjs';

/** Each gives its figures. */
const PARTS = {
  mistakes: makeMistakes,
  contract: holdToContract,
  threads: runThreads,
  parsers: fuzzParsers,
  addon: testAddon,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { install: { type: 'boolean' }, ci: { type: 'boolean' }, minutes: { type: 'string' } },
});
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
const unknown = positionals.find((part) => !(part in PARTS));
if (unknown !== undefined || (minutes !== undefined && !(minutes > 0))) {
  console.error(`--minutes is a number above 0, and the parts are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
if (values.install || values.ci) allowInstalling();

/** What sanitizers, and libFuzzer, say first. */
const REPORT =
  /ERROR: (Address|Undefined|Leak)\w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|ERROR: libFuzzer/;

const figures = new Map([['reports', 0]]);
let failed = false;

/**
 * What sanitizers say that do not get the addresses they need: memory beyond what there is was forbidden, by some test
 * of another program, after this one had looked.
 */
const DISTURBED = /ReserveShadowMemoryRange failed|ERROR: Failed to mmap/;
const ATTEMPTS = 3;

async function run(part) {
  const startedAt = performance.now();
  const say = (what) =>
    console.log(`${part}: ${what} (${Math.round((performance.now() - startedAt) / 1000)} s)`);
  for (let attempt = 1; ; attempt++) {
    try {
      await untilOvercommit();
      const found = await PARTS[part](minutes);
      for (const [figure, number] of Object.entries(found))
        figures.set(figure, (figures.get(figure) ?? 0) + number);
      return say('passed');
    } catch (error) {
      if (error instanceof ToolMissing && !values.ci) return say(`skipped: ${error.message}`);
      if (DISTURBED.test(error.message) && attempt < ATTEMPTS) {
        say('again, for lack of memory that may be promised');
        continue;
      }
      if (REPORT.test(error.message)) figures.set('reports', figures.get('reports') + 1);
      failed = true;
      return say(`failed\n${error.message}`);
    }
  }
}

const wanted = positionals.length > 0 ? positionals : Object.keys(PARTS);
// The suite leaves a processor idle at its beginning and its end; the rest goes beside it.
await Promise.all([
  wanted.includes('addon') && run('addon'),
  (async () => {
    for (const part of wanted) if (part !== 'addon') await run(part);
  })(),
]);

console.log('\nsanitizers:');
for (const [name, number] of figures) {
  console.log(`  ${name.padEnd(20)}${number.toLocaleString('en-US').padStart(12)}`);
  const file = process.env.LAZYSHADOW_FAULTS_FIGURES;
  if (file !== undefined)
    appendFileSync(file, `${JSON.stringify({ figure: `sanitizers: ${name}`, number })}\n`);
}
process.exit(failed ? 1 : 0);
