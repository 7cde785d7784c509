// Everything that tries to break lazyshadow, and what came of it in figures. docs/faults.md says what each part does.
//
//     npm run test:faults                                   the short form, as CI runs it, with --ci: minutes
//     npm run test:faults -- --seed 7 --duration 30 [PART]  each random part of those named for 30 minutes
//
// Ends with the sanitizers (scripts/sanitizers.mjs) unless only parts are named.
//
// --ci:   tools that the sanitizers need are installed; otherwise what needs one that is missing is skipped.
// --seed: what the random parts do; 1 if left out. PART: the beginning of a file's name in test/faults, such as api.
// --json FILE: vitest's own results. --write puts the figures into README.md. Exits 1 if anything failed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeBetweenMarks } from './between-marks.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    duration: { type: 'string' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    ci: { type: 'boolean' },
  },
});
for (const [name, value] of Object.entries({ seed: values.seed ?? '1', duration: values.duration ?? '1' })) {
  if (Number(value) > 0) continue;
  console.error(`--${name} is a number above 0, not ${value}`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'lazyshadow-faults-'));
const figures = join(folder, 'figures');
const json = values.json ?? join(folder, 'results.json');
const { status } = spawnSync(
  process.execPath,
  [
    join('node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--config=test/faults/vitest.config.ts',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${json}`,
    ...positionals.map((part) => `test/faults/${part}`),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      LAZYSHADOW_FAULTS_FIGURES: figures,
      ...(values.seed && { LAZYSHADOW_FAULTS_SEED: values.seed }),
      ...(values.duration && { LAZYSHADOW_FAULTS_MINUTES: values.duration }),
    },
  },
);

const sanitizers = [
  join('scripts', 'sanitizers.mjs'),
  ...(values.ci ? ['--ci'] : []),
  ...(values.duration ? ['--minutes', values.duration] : []),
];
const sanitized =
  positionals.length > 0 ||
  spawnSync(process.execPath, sanitizers, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, LAZYSHADOW_FAULTS_FIGURES: figures },
  }).status === 0;

/** As test/faults/settings.ts counts them. */
const totals = new Map(
  [
    'calls',
    'refusals',
    'faults injected',
    'damaged files read',
    'programs killed',
    'crashes',
    'inconsistencies',
  ].map((name) => [name, 0]),
);
const lines = existsSync(figures) ? readFileSync(figures, 'utf8').trim().split('\n') : [];
for (const { figure, number } of lines.map((line) => JSON.parse(line))) {
  totals.set(figure, (totals.get(figure) ?? 0) + number);
}
const figuresShown = [...totals].map(([name, total]) => [name, total.toLocaleString('en-US')]);
console.log('\nfaults:');
for (const [name, total] of figuresShown) console.log(`  ${name.padEnd(30)}${total.padStart(12)}`);
if (values.write) {
  const sentence = figuresShown.map(([name, total]) => `${total} ${name}`).join(', ');
  writeBetweenMarks('README.md', 'faults', `The last run of the short form: ${sentence}.`);
}
rmSync(folder, { recursive: true });
process.exit(
  status === 0 && sanitized && totals.get('crashes') === 0 && totals.get('inconsistencies') === 0 ? 0 : 1,
);
