// The addon with AddressSanitizer and UBSan, in Node, under the tests.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compileCommand } from '../platforms/addons.mjs';
import { execute } from '../platforms/commands.mjs';
import { nativeHost } from '../platforms/hosts.mjs';
import { runSuite } from '../platforms/suite.mjs';
import { addonRecipe } from '../platforms/targets.mjs';
import { program } from '../platforms/tools.mjs';
import { FOR_NODE, nodeEnvironment, reportsIn, work } from './reports.mjs';

const HOUR_MS = 3_600_000;

/** For random calls: one run of a hundred thousand. */
const SHORT_MINUTES = 0.1;

/** The tests that reach into native/ most. */
const SHORT_FORM = ['test/native', 'test/shadow', 'test/heap', 'test/race'];

/** What is left out, and why: other programs would be loaded with AddressSanitizer's library too. */
const LEFT_OUT = {
  'test/native/os-memory-program.test.ts': 'a compiler; and the part "contract" is the same, with sanitizers',
  'test/record/record.test.ts': "Go's race runtime, whose own shadow lies at the same addresses",
  'test/report/page.test.ts': 'Chromium',
  'test/package.test.ts': 'npm and TypeScript',
  'test/readme.test.ts': 'npm and Go',
};

async function buildAddon() {
  const binary = join(work, 'lazyshadow.node');
  const how = { command: [await program('g++')], link: FOR_NODE };
  const build = await compileCommand('linux', how, addonRecipe('linux').sources);
  await execute([...build, '-o', binary], { log: join(work, 'addon-build.log') });
  return binary;
}

/** Runs tests with that addon. Gives how many passed. */
async function runTests(addon, { flags = [], env, ...options }) {
  const reports = join(work, 'reports');
  const sanitized = { ...(await nodeEnvironment(reports)), LAZYSHADOW_TEST_SANITIZED: '1' };
  const { passed, failures } = await runSuite('sanitizers', addon, await nativeHost(process.versions.node), {
    ...options,
    flags: [...flags, ...Object.keys(LEFT_OUT).map((file) => `--exclude=${file}`)],
    env: { ...sanitized, ...env },
  });
  const wrong = [...reportsIn(reports), ...failures];
  if (wrong.length > 0) throw new Error(wrong.join('\n\n'));
  return passed;
}

/** Tests, and random calls to the whole API; in the long form all tests, and calls that the system refuses too. */
export async function testAddon(minutes) {
  mkdirSync(work, { recursive: true });
  const addon = await buildAddon();
  const isShort = minutes === undefined;
  const suite = await runTests(addon, { files: isShort ? SHORT_FORM : [], timeoutMs: HOUR_MS });
  const faults = await runTests(addon, {
    files: ['test/faults/api', ...(isShort ? [] : ['test/faults/injected'])],
    flags: ['--config=test/faults/vitest.config.ts'],
    env: { LAZYSHADOW_FAULTS_MINUTES: String(minutes ?? SHORT_MINUTES) },
    timeoutMs: HOUR_MS + (minutes ?? 0) * 60_000,
  });
  return { tests: suite + faults };
}
