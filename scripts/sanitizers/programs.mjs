// The programs of test/native, under the sanitizers. scripts/platforms/contract.mjs builds and runs those in C++.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from '../platforms/commands.mjs';
import { ADDRESS_SANITIZER, holdContract, THREAD_SANITIZER } from '../platforms/contract.mjs';
import { program } from '../platforms/tools.mjs';
import { work } from './reports.mjs';

const MINUTE_SECONDS = 60;
/** For what a program does at least, on a machine that has other work. */
const PATIENCE_SECONDS = 600;

/** What programs say of their checks. */
function checksIn(lines) {
  const found = [...lines.join('\n').matchAll(/(\d+) checks, 0 failed/g)];
  return { 'checks of programs': found.reduce((sum, [, checks]) => sum + Number(checks), 0) };
}

/** The threads go on for so many minutes. */
function goOn(minutes = 0) {
  const seconds = minutes * MINUTE_SECONDS;
  const options = { threads_test: ['--seconds', String(seconds)] };
  return { options, timeoutMs: (seconds + PATIENCE_SECONDS) * 1000 };
}

/** The recorder in C. Gives what its program says. */
async function runRecorder(name, sanitizer) {
  const folder = join(work, `recorder-${name}`);
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, 'recorder_test');
  const sources = ['recording', 'part', 'symbols'].map((file) => `native/recorder/${file}.c`);
  const compile = [
    await program('gcc'),
    '-std=c17',
    '-O1',
    '-g',
    '-Wall',
    '-Wextra',
    '-Inative',
    ...sanitizer,
  ];
  await execute([...compile, 'test/native/recorder_test.c', ...sources, '-o', binary], {
    log: `${binary}-build.log`,
  });
  return execute([binary, folder], { log: `${binary}.log` });
}

/** The memory contract, the recorder, and several threads at once, under AddressSanitizer and UBSan. */
export async function holdToContract(minutes) {
  const { lines } = await holdContract('sanitizers', goOn(minutes));
  return checksIn([...lines, await runRecorder('address', ADDRESS_SANITIZER)]);
}

/** Several threads at once under ThreadSanitizer. */
export async function runThreads(minutes) {
  const { lines } = await holdContract('thread-sanitizer', goOn(minutes));
  return checksIn([...lines, await runRecorder('threads', THREAD_SANITIZER)]);
}
