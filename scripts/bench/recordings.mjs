// What the benchmark replays, and Go's own runtime to replay it with.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The recordings that the repository keeps: one ships with the package, the others are the tests'. */
export function keptRecordings() {
  const programs = join(root, 'test/data/programs');
  return [
    join(root, 'data/heapgrow.trc.gz'),
    ...readdirSync(programs).map((file) => join(programs, file)),
  ].filter((file) => /\.trc(\.|$)/.test(file));
}

/** A recording with its name, as a plain file, which is what the native runtime's program reads. */
export function unpacked(file, scratch) {
  const name = basename(file).replace(/\..*/, '');
  const unpack = file.endsWith('.br') ? brotliDecompressSync : file.endsWith('.gz') ? gunzipSync : undefined;
  if (unpack === undefined) return { name, file };
  const plain = join(scratch, `${name}.trc`);
  writeFileSync(plain, unpack(readFileSync(file)));
  return { name, file: plain };
}

/** Links Go's race runtime into native-replay.c; undefined where that cannot be done. */
export function buildNative(scratch) {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  try {
    const goroot = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8' }).trim();
    const object = join(goroot, 'src/runtime/race/race_linux_amd64.syso');
    if (!existsSync(object)) throw new Error(`there is no ${object}`);
    const program = join(scratch, 'native-replay');
    execFileSync('cc', ['-O2', join(root, 'scripts/bench/native-replay.c'), object, '-o', program, '-lm']);
    return program;
  } catch (error) {
    console.error(`no native column: ${error.message}`);
    return undefined;
  }
}
