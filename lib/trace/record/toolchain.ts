/**
 * The Go that a command line starts: where it is, which version, and what the recorder must know of it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LazyShadowError } from '../../native/errors.js';

export interface Toolchain {
  /** The `go` of this version. What a newer go.mod asks for has been settled. */
  readonly go: string;
  readonly goroot: string;
  /** `go1.19.8` */
  readonly version: string;
  /** GOFLAGS as they are in force, from wherever Go takes them. */
  readonly flags: string;
  /** The C compiler, with its arguments. */
  readonly cc: readonly string[];
}

/** The race runtime calls its first caller made with these alone; 1.18 had another object. */
const OLDEST_MINOR = 19;

/** Whether a command is Go's, by its name: `go`, `/usr/lib/go-1.22/bin/go`, `go1.22.3`. */
export function isGo(command: string): boolean {
  return /^go(1\.[\w.]+)?$/.test(basename(command));
}

/**
 * Asks Go itself, in the directory where it is to run: go.mod may choose another version.
 * @throws LazyShadowError ERR_CANNOT_RECORD, ERR_UNSUPPORTED
 */
export function findToolchain(command: string): Toolchain {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new LazyShadowError(
      'ERR_UNSUPPORTED',
      `programs are recorded on Linux amd64; this is ${process.platform} ${process.arch}. Record there: ` +
        'recordings are read, replayed and measured everywhere.',
      { verb: 'record' },
    );
  const env = goEnvironment(command);
  if (env.GOOS !== 'linux' || env.GOARCH !== 'amd64')
    throw new LazyShadowError(
      'ERR_UNSUPPORTED',
      `programs are recorded for linux/amd64; Go is told to build for ${env.GOOS}/${env.GOARCH}. Unset GOOS and GOARCH.`,
      { verb: 'record' },
    );
  const minor = Number(/^go1\.(\d+)/.exec(env.GOVERSION)?.[1] ?? Number.NaN);
  // A development version has no number, and is newer than all that have.
  if (minor < OLDEST_MINOR)
    throw new LazyShadowError(
      'ERR_UNSUPPORTED',
      `${env.GOVERSION} is older than what the recorder knows. Use Go 1.${OLDEST_MINOR} or later.`,
      { verb: 'record' },
    );
  return {
    go: join(env.GOROOT, 'bin', 'go'),
    goroot: env.GOROOT,
    version: env.GOVERSION.split(' ')[0] ?? env.GOVERSION,
    flags: env.GOFLAGS,
    cc: env.CC.split(/\s+/).filter((word) => word !== ''),
  };
}

type GoVariable = 'GOROOT' | 'GOVERSION' | 'GOOS' | 'GOARCH' | 'GOFLAGS' | 'CC';

function goEnvironment(command: string): Record<GoVariable, string> {
  const variables: GoVariable[] = ['GOROOT', 'GOVERSION', 'GOOS', 'GOARCH', 'GOFLAGS', 'CC'];
  try {
    const output = execFileSync(command, ['env', '-json', ...variables], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return JSON.parse(output) as Record<GoVariable, string>;
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    throw new LazyShadowError(
      'ERR_CANNOT_RECORD',
      missing
        ? `${command} is not found. Install Go 1.${OLDEST_MINOR} or later (Debian: apt-get install golang-go), or give its path.`
        : `${command} env failed. Check that it is Go's.`,
      { verb: 'record', cause },
    );
  }
}

/** Calls of the race runtime that say nothing about the program: they stay as they are. */
const NOT_RECORDED = ['__tsan_proc_create', '__tsan_proc_destroy', '__tsan_report_count'];
/** Calls that came with a later Go than 1.19: the recorder has them if Go has. */
export const FETCH_AND_OR = '__tsan_go_atomic32_fetch_and';
/** Every call that native/recorder/tsan.c can take the place of. */
const RECORDED =
  /^__tsan_(init|fini|map_shadow|malloc|free|finalizer_goroutine|acquire|release(_merge|_acquire)?|func_(enter|exit)|(read|write)(_pc|_range)?|go_(start|end|ignore_sync_(begin|end)|atomic(32|64)_(load|store|exchange|compare_exchange|fetch_(add|and|or))))$/;

/**
 * The calls that this Go makes into its race runtime, and that the recorder stands in front of.
 * @throws LazyShadowError ERR_CANNOT_RECORD: there is one that the recorder does not know
 */
export function recordedCalls(goroot: string): string[] {
  const source = readFileSync(join(goroot, 'src', 'runtime', 'race.go'), 'utf8');
  const calls = [...source.matchAll(/^\/\/go:cgo_import_static (__tsan_\w+)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => !NOT_RECORDED.includes(name));
  const unknown = calls.filter((name) => !RECORDED.test(name));
  if (calls.length === 0 || unknown.length > 0)
    throw new LazyShadowError(
      'ERR_CANNOT_RECORD',
      `${goroot} has a race runtime that the recorder does not know${unknown.length > 0 ? `: ${unknown.join(', ')}` : ''}. ` +
        'Use an earlier Go, or a later lazyshadow.',
      { verb: 'record' },
    );
  return calls;
}

/** Where Go keeps its race runtime, by version; a version has one of the two, for one or more levels of GOAMD64. */
const RACE_OBJECTS = [
  'race_linux_amd64.syso',
  'internal/amd64v1/race_linux.syso',
  'internal/amd64v3/race_linux.syso',
];

/**
 * The objects of Go's race runtime, relative to src/runtime/race.
 * @throws LazyShadowError ERR_CANNOT_RECORD
 */
export function raceObjects(goroot: string): string[] {
  const found = RACE_OBJECTS.filter((path) => existsSync(join(goroot, 'src', 'runtime', 'race', path)));
  if (found.length > 0) return found;
  throw new LazyShadowError(
    'ERR_CANNOT_RECORD',
    `${goroot} has no race runtime for linux/amd64 in src/runtime/race. Install Go's sources (Debian: golang-src).`,
    { verb: 'record' },
  );
}
