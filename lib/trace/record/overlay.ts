/**
 * A GOROOT whose race runtime records: everything in it is a link to the real one, but for the race runtime's object.
 *
 *     ~/.cache/lazyshadow/go/go1.19.8-0f3a…/
 *       bin, pkg, … → the user's
 *       src/… → the user's, but src/runtime/race/race_linux_amd64.syso: Go's own, its calls renamed, and the recorder
 *
 * It is made once for each Go and each recorder, in a directory beside its place and then moved there, so that one that
 * exists is whole. The user's Go is only read.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../native/addon.js';
import { LazyShadowError } from '../../native/errors.js';
import { FETCH_AND_OR, raceObjects, recordedCalls, type Toolchain } from './toolchain.js';

/** Where overlays are: XDG_CACHE_HOME, by default ~/.cache. */
export function overlayDirectory(): string {
  const cache = process.env['XDG_CACHE_HOME'];
  return join(cache !== undefined && cache !== '' ? cache : join(homedir(), '.cache'), 'lazyshadow', 'go');
}

/** Removes all overlays. Returns the directory that they were in. */
export function cleanOverlays(): string {
  const directory = overlayDirectory();
  rmSync(directory, { recursive: true, force: true });
  return directory;
}

/**
 * The overlay of a Go, made if it is not there.
 * @throws LazyShadowError ERR_CANNOT_RECORD
 */
export function ensureOverlay(toolchain: Toolchain): string {
  const sources = recorderSources();
  const overlay = join(
    overlayDirectory(),
    `${toolchain.version}-${fingerprint(toolchain, sources).slice(0, 12)}`,
  );
  if (existsSync(overlay)) return overlay;
  mkdirSync(dirname(overlay), { recursive: true });
  const unfinished = mkdtempSync(join(dirname(overlay), 'new-'));
  try {
    linkGoroot(toolchain.goroot, unfinished);
    replaceRaceObjects(toolchain, sources, unfinished);
    try {
      renameSync(unfinished, overlay);
    } catch (error) {
      // Another process was faster, and made the same.
      if (!existsSync(overlay)) throw error;
    }
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return overlay;
}

function recorderSources(): string[] {
  const directory = join(packageRoot(), 'native', 'recorder');
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}

/** What an overlay is made from. */
function fingerprint({ goroot, cc }: Toolchain, sources: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify([goroot, cc]));
  const objects = raceObjects(goroot).map((path) => join(goroot, 'src', 'runtime', 'race', path));
  for (const file of [...sources, ...objects]) hash.update(readFileSync(file));
  return hash.digest('hex');
}

/** Links everything, and copies src/runtime/race. */
function linkGoroot(goroot: string, overlay: string): void {
  const linkAllBut = (directory: string, except: string) => {
    mkdirSync(join(overlay, directory), { recursive: true });
    for (const name of readdirSync(join(goroot, directory)))
      if (name !== except) symlinkSync(join(goroot, directory, name), join(overlay, directory, name));
  };
  linkAllBut('.', 'src');
  linkAllBut('src', 'runtime');
  linkAllBut('src/runtime', 'race');
  cpSync(join(goroot, 'src', 'runtime', 'race'), join(overlay, 'src', 'runtime', 'race'), {
    recursive: true,
    dereference: true,
  });
}

/** Plain code that Go's own linker can read, as that of the race runtime itself. */
const CFLAGS =
  '-std=c17 -O2 -fPIC -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables'.split(' ');

function replaceRaceObjects(toolchain: Toolchain, sources: readonly string[], overlay: string): void {
  const calls = recordedCalls(toolchain.goroot);
  const [cc = 'cc', ...ccArguments] = toolchain.cc;
  const defines = calls.includes(FETCH_AND_OR) ? ['-DHAVE_FETCH_AND_OR'] : [];
  const work = mkdtempSync(join(overlay, 'objects-'));
  const objects = sources
    .filter((source) => source.endsWith('.c'))
    .map((source, index) => {
      const object = join(work, `${index}.o`);
      runTool(cc, [...ccArguments, ...CFLAGS, ...defines, '-c', source, '-o', object]);
      return object;
    });
  const recorder = join(work, 'recorder.o');
  runTool('ld', ['-r', '-o', recorder, ...objects]);
  // What the recorder's files call each other is not for the program to meet.
  runTool('objcopy', ['--wildcard', '--keep-global-symbol=__tsan_*', recorder]);
  const renames = calls.flatMap((name) => ['--redefine-sym', `${name}=real_${name.slice(2)}`]);
  for (const path of raceObjects(toolchain.goroot)) {
    const renamed = join(work, 'race.o');
    runTool('objcopy', [...renames, join(toolchain.goroot, 'src', 'runtime', 'race', path), renamed]);
    runTool('ld', ['-r', '-o', join(overlay, 'src', 'runtime', 'race', path), recorder, renamed]);
  }
  rmSync(work, { recursive: true });
}

function runTool(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const stderr = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    throw new LazyShadowError(
      'ERR_CANNOT_RECORD',
      missing
        ? `${command} is not found; the recorder is compiled for your Go. Install a C compiler and binutils (Debian: apt-get install gcc libc6-dev).`
        : `${command} failed to build the recorder: ${stderr === '' ? String(cause) : stderr}`,
      { verb: 'record', cause },
    );
  }
}
