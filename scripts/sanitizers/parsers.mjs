// libFuzzer on what native/ reads as text.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, root } from '../platforms/commands.mjs';
import { ADDRESS_SANITIZER } from '../platforms/contract.mjs';
import { platformSources } from '../platforms/targets.mjs';
import { program } from '../platforms/tools.mjs';
import { work } from './reports.mjs';

const SHORT_SECONDS = 20;
/** Room for a few lines of every file. */
const LONGEST_INPUT = 4096;

/** Compiles a target of libFuzzer's. Gives the program. */
export async function buildFuzzer(name, sources, flags = []) {
  const binary = join(work, name);
  const compile = [await program('clang++'), '-std=c++17', '-O1', '-g', '-Wall', '-Wextra', '-Inative'];
  const build = [...compile, '-fsanitize=fuzzer', ...ADDRESS_SANITIZER, ...flags, ...sources, '-o', binary];
  await execute(build, { log: `${binary}-build.log` });
  return binary;
}

/** Lines that are longer than the parsers' buffer of 64 KiB: more than libFuzzer can make in reasonable time. */
function longLines() {
  const long = (letter) => letter.repeat(70_000);
  return [
    `@/proc/self/maps\n00400000-00402000 r--p 0 00:00 0 /${long('a')}\n00402000-00403000 r--p`,
    `@/proc/self/smaps\n00400000-00402000 rw-p 0 00:00 0 ${long('b')}\nRss: 8 kB\nVmFlags: ac\n`,
  ];
}

/** Feeds the parsers with texts that libFuzzer makes of those in test/native/corpus, and of those it kept before. */
export async function fuzzParsers(minutes) {
  const wrapped = ['open', 'read', 'close'].map((call) => `-Wl,--wrap=${call}`);
  const sources = ['test/native/proc_fuzzer.cc', ...platformSources('linux')];
  const fuzzer = await buildFuzzer('proc_fuzzer', sources, wrapped);
  const log = join(work, 'proc_fuzzer.log');
  const given = longLines().map((text, index) => {
    const file = join(work, `long-line-${index}`);
    writeFileSync(file, text);
    return file;
  });
  await execute([fuzzer, ...given], { log });

  const kept = join(work, 'corpus');
  mkdirSync(kept, { recursive: true });
  const seconds = minutes === undefined ? SHORT_SECONDS : minutes * 60;
  const options = [
    `-max_total_time=${seconds}`,
    `-max_len=${LONGEST_INPUT}`,
    `-artifact_prefix=${work}/`,
    '-print_final_stats=1',
  ];
  const text = await execute([fuzzer, ...options, kept, join(root, 'test', 'native', 'corpus')], {
    log,
    timeoutMs: (seconds + 120) * 1000,
  });
  return { 'texts parsed': Number(/number_of_executed_units: (\d+)/.exec(text)?.[1] ?? 0) };
}
