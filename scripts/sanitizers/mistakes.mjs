// Makes the mistakes of test/native/wrong, each of which must be reported in the way that counts in the other parts.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compileCommand } from '../platforms/addons.mjs';
import { execute } from '../platforms/commands.mjs';
import { ADDRESS_SANITIZER, THREAD_SANITIZER } from '../platforms/contract.mjs';
import { program } from '../platforms/tools.mjs';
import { buildFuzzer } from './parsers.mjs';
import { FOR_NODE, nodeEnvironment, reportsIn, work } from './reports.mjs';

const folder = join(work, 'mistakes');
const PAST_THE_END = 'heap-buffer-overflow';
const OVERFLOW = 'signed integer overflow';
/** A trap where the overflow is. */
const TRAP = 'in lazyshadow::test::overflow()';
const RACE = 'ThreadSanitizer: data race';

async function build(name, flags) {
  const binary = join(folder, name);
  const compile = [await program('g++'), '-std=c++17', '-O1', '-g', ...flags];
  await execute([...compile, 'test/native/wrong/program.cc', '-o', binary], { log: `${binary}-build.log` });
  return binary;
}

/** @throws Error unless the command fails and says what it should, or leaves it among the reports in a folder */
async function mustReport(what, command, { env, reports } = {}) {
  let said;
  try {
    await execute(command, { env, log: join(folder, 'mistake.log') });
  } catch (error) {
    said = reports === undefined ? error.message : reportsIn(reports).join('\n');
  }
  if (!said?.includes(what))
    throw new Error(`${command.join(' ')} was not reported: ${what} (${said ?? 'it passed'})`);
}

/** @returns how many were reported: all */
export async function makeMistakes() {
  mkdirSync(folder, { recursive: true });
  const address = await build('address', ADDRESS_SANITIZER);
  await mustReport(PAST_THE_END, [address, 'address']);
  await mustReport(OVERFLOW, [address, 'undefined']);
  const thread = await build('thread', THREAD_SANITIZER);
  await mustReport(RACE, [thread, 'race']);

  const addon = join(folder, 'wrong.node');
  const how = { command: [await program('g++')], link: FOR_NODE };
  const compile = await compileCommand('linux', how, ['test/native/wrong/addon.cc']);
  await execute([...compile, '-o', addon], { log: `${addon}-build.log` });
  const reports = join(folder, 'reports');
  for (const [mistake, what] of Object.entries({ address: PAST_THE_END, undefined: TRAP })) {
    const env = await nodeEnvironment(reports);
    const script = `require(${JSON.stringify(addon)}).${mistake}()`;
    await mustReport(what, [process.execPath, '-e', script], { env, reports });
  }

  const parser = await buildFuzzer('mistakes/parser', ['test/native/wrong/parser.cc']);
  // It has found the word after some thousands.
  await mustReport(PAST_THE_END, [parser, '-seed=1', '-runs=10000000', `-artifact_prefix=${folder}/`]);
  return { 'mistakes reported': 6 };
}
