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

const MINUTES = 60_000;

/** The tests that reach into native/ most. */
const SHORT_FORM = ['test/native', 'test/shadow', 'test/heap', 'test/race'];

/** What is left out, and why. */
const LEFT_OUT = {
  'test/native/os-memory-program.test.ts': 'the part "contract" is the same, with sanitizers',
};

async function buildAddon() {
  const binary = join(work, 'lazyshadow.node');
  const how = { command: [await program('g++')], link: FOR_NODE };
  const build = await compileCommand('linux', how, addonRecipe('linux').sources);
  await execute([...build, '-o', binary], { log: join(work, 'addon-build.log') });
  return binary;
}

export async function testAddon(minutes) {
  mkdirSync(work, { recursive: true });
  const addon = await buildAddon();
  const reports = join(work, 'reports');
  const env = { ...(await nodeEnvironment(reports)), LAZYSHADOW_TEST_SANITIZED: '1' };
  const { passed, failures } = await runSuite('sanitizers', addon, await nativeHost(process.versions.node), {
    files: minutes === undefined ? SHORT_FORM : [],
    flags: Object.keys(LEFT_OUT).map((file) => `--exclude=${file}`),
    env,
    timeoutMs: (minutes === undefined ? 10 : 60) * MINUTES,
  });
  const wrong = [...reportsIn(reports), ...failures];
  if (wrong.length > 0) throw new Error(wrong.join('\n\n'));
  return { tests: passed };
}
