/**
 * Records Go programs: `go run` and `go test` with whatever follows them, or a program that was built for it.
 *
 *     const { ending, recordings } = await recordProgram({ command: ['go', 'run', './cmd/x'], output: 'x.trc' });
 *
 * Go builds as it always does, but with the GOROOT of lib/trace/record/overlay.ts and with -race. What it built is then
 * started with LAZYSHADOW_RECORD, which the recorder in it looks for (native/recorder/recording.c). Between the two
 * stands Go's own -exec: under `go run` it hands us the program, so that the program's signals and its exit code
 * are ours; under `go test` it sets the variable for each test program.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { copyFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { LazyShadowError } from '../../native/errors.js';
import { finishRecording, packRecording, partOf } from './finish.js';
import { ensureOverlay } from './overlay.js';
import { type Ending, runProgram } from './run.js';
import { withDirectory } from './temporary.js';
import { findToolchain, isGo, type Toolchain } from './toolchain.js';

export interface RecordOptions {
  /** What is typed to run it: `go run …`, `go test …`, or the path of a program and its arguments. */
  readonly command: readonly string[];
  /** The recording; packed with gzip if its name ends in .gz. By default the program's name and .trc. */
  readonly output?: string | undefined;
  /** The recording ends at this many events, or bytes (unpacked); the program goes on. */
  readonly maxEvents?: number | undefined;
  readonly maxBytes?: number | undefined;
}

export interface Recording {
  readonly path: string;
  readonly events: number;
  readonly sizeBytes: number;
}

export interface RecordResult {
  /** Of the program under `go run`, of Go under `go test`, and of Go too if it built nothing to run. */
  readonly ending: Ending;
  /** One for each program that ran, and none if the build failed: `go test` runs a program for each package. */
  readonly recordings: readonly Recording[];
}

/**
 * Runs a program to its end and records it.
 * @throws LazyShadowError ERR_CANNOT_RECORD, ERR_UNSUPPORTED; ERR_INVALID_ARGUMENT: a command that runs nothing
 */
export async function recordProgram(options: RecordOptions): Promise<RecordResult> {
  const [command = '', subcommand = '', ...rest] = options.command;
  if (!isGo(command)) {
    const args = options.command.slice(1);
    return withDirectory(tmpdir(), () => recordBuilt(resolveCommand(command), args, options));
  }
  if (subcommand === 'run') return recordGoRun(findToolchain(command), rest, options);
  if (subcommand === 'test') return recordGoTest(findToolchain(command), rest, options);
  throw new LazyShadowError(
    'ERR_INVALID_ARGUMENT',
    `go ${subcommand} runs no program. Give go run or go test; to build a program and run it later, --build-only.`,
    { verb: 'record' },
  );
}

/**
 * Builds a program with the recorder in it: `go build`, `go install` or `go test -c` as given, or what `go run` would run.
 * @returns how Go ended, and where the program is if that was `go run`
 * @throws LazyShadowError as {@link recordProgram}
 */
export async function buildRecorded(
  command: readonly string[],
  output: string | undefined,
): Promise<{ ending: Ending; program: string | undefined }> {
  const [go = '', subcommand = '', ...rest] = command;
  if (!isGo(go))
    throw new LazyShadowError('ERR_INVALID_ARGUMENT', `${go} does not build. Give a command of Go's.`, {
      verb: 'record',
    });
  const toolchain = findToolchain(go);
  if (subcommand !== 'run') {
    const ending = await runProgram(toolchain.go, [subcommand, ...rest], buildEnvironment(toolchain));
    return { ending, program: undefined };
  }
  return withDirectory(tmpdir(), async (directory) => {
    const { ending, program } = await buildForRun(toolchain, rest, directory);
    if (program === undefined) return { ending, program };
    const target = resolve(output ?? basename(program.path));
    await copyFile(program.path, target);
    return { ending, program: target };
  });
}

/** The environment in which Go builds with the recorder. */
function buildEnvironment(toolchain: Toolchain, wrapper?: string): NodeJS.ProcessEnv {
  const flags = [toolchain.flags, '-race'];
  // A cached result is of a program that did not run.
  if (wrapper !== undefined) flags.push(`-exec=${wrapper}`, '-count=1');
  return {
    ...process.env,
    GOROOT: ensureOverlay(toolchain),
    // The version that go.mod asks for has been found, and is the overlay's.
    GOTOOLCHAIN: 'local',
    GOFLAGS: flags.join(' ').trim(),
    // Go up to 1.22 then puts the real directory's name into programs.
    GOROOT_FINAL: toolchain.goroot,
  };
}

async function recordGoRun(
  toolchain: Toolchain,
  args: readonly string[],
  options: RecordOptions,
): Promise<RecordResult> {
  return withDirectory(tmpdir(), async (directory) => {
    const { ending, program } = await buildForRun(toolchain, args, directory);
    return program === undefined
      ? { ending, recordings: [] }
      : recordBuilt(program.path, program.args, options);
  });
}

interface Program {
  readonly path: string;
  readonly args: readonly string[];
}

/** Lets `go run` do all but the running. The program is undefined if Go built none, for which it gave its reasons. */
async function buildForRun(
  toolchain: Toolchain,
  args: readonly string[],
  directory: string,
): Promise<{ ending: Ending; program: Program | undefined }> {
  const built = join(directory, 'program');
  const list = join(directory, 'arguments');
  mkdirSync(built);
  const wrapper = await writeScript(
    directory,
    `cp -- "$1" ${quoted(built)}/ && shift && for a; do printf '%s\\0' "$a"; done > ${quoted(list)}`,
  );
  const ending = await runProgram(toolchain.go, ['run', ...args], buildEnvironment(toolchain, wrapper));
  const [name] = readdirSync(built);
  if (name !== undefined && existsSync(list)) {
    const path = join(built, name);
    return { ending, program: { path, args: readFileSync(list, 'utf8').split('\0').slice(0, -1) } };
  }
  if (ending.exitCode !== 0) return { ending, program: undefined };
  throw new LazyShadowError(
    'ERR_CANNOT_RECORD',
    'go run has run the program without handing it over. Leave out -exec.',
    { verb: 'record' },
  );
}

/** Records a program that has the recorder in it. */
async function recordBuilt(
  path: string,
  args: readonly string[],
  options: RecordOptions,
): Promise<RecordResult> {
  const output = resolve(options.output ?? `${basename(path)}.trc`);
  const raw = unpackedPath(output);
  // What has this name would else be taken for the new one, if nothing is recorded.
  await rm(raw, { force: true });
  await rm(partOf(raw), { force: true });
  const ending = await runProgram(path, args, { ...process.env, ...recorderVariables(raw, options) });
  if (existsSync(raw)) return { ending, recordings: [await complete(raw, output)] };
  throw new LazyShadowError(
    'ERR_CANNOT_RECORD',
    `${path} made no recording. Build it with lazyshadow record --build-only -- go build, or see what it said.`,
    { verb: 'record' },
  );
}

async function recordGoTest(
  toolchain: Toolchain,
  args: readonly string[],
  options: RecordOptions,
): Promise<RecordResult> {
  const output = options.output === undefined ? undefined : resolve(options.output);
  const target = output === undefined ? process.cwd() : dirname(output);
  return withDirectory(tmpdir(), (directory) =>
    // Beside the output, so that a recording, which may be large, is not copied.
    withDirectory(target, async (recorded) => {
      // The tests are to see the environment that they would see without us.
      const restored = ['GOROOT', 'GOTOOLCHAIN', 'GOFLAGS', 'GOROOT_FINAL'].map((name) => {
        const value = process.env[name];
        return value === undefined ? `unset ${name}` : `export ${name}=${quoted(value)}`;
      });
      const variables = Object.entries(recorderVariables(join(recorded, '%n.%p'), options));
      const exported = variables.map(([name, value]) => `export ${name}=${quoted(value)}`);
      const wrapper = await writeScript(directory, [...restored, ...exported, 'exec "$@"'].join('\n'));
      const ending = await runProgram(toolchain.go, ['test', ...args], buildEnvironment(toolchain, wrapper));
      return { ending, recordings: await collect(recorded, target, output) };
    }),
  );
}

/** Finishes and names the recordings of test programs: by the output, and the program where there are several. */
async function collect(
  directory: string,
  target: string,
  output: string | undefined,
): Promise<readonly Recording[]> {
  const files = readdirSync(directory)
    .filter((name) => !name.endsWith(partOf('')))
    .sort();
  const recordings: Recording[] = [];
  const taken = new Set<string>();
  for (const file of files) {
    const program = file.replace(/\.\d+$/, '');
    const alone = output ?? join(target, `${program}.trc`);
    const named = output !== undefined && files.length > 1 ? withSuffix(output, `-${program}`) : alone;
    let path = named;
    for (let again = 2; taken.has(path); again++) path = withSuffix(named, `-${again}`);
    taken.add(path);
    // At its place first: what cannot be finished or packed, because the disk is full, is not lost.
    const raw = unpackedPath(path);
    await rename(join(directory, file), raw);
    if (existsSync(partOf(join(directory, file)))) await rename(partOf(join(directory, file)), partOf(raw));
    recordings.push(await complete(raw, path));
  }
  return recordings;
}

/** Finishes a recording, and packs it if its name says so. */
async function complete(raw: string, output: string): Promise<Recording> {
  const events = await finishRecording(raw);
  if (raw !== output) await packRecording(raw, output);
  return { path: output, events, sizeBytes: (await stat(output)).size };
}

/** Where a recording is until it is finished. */
function unpackedPath(output: string): string {
  return output.endsWith('.gz') ? `${output}.unpacked` : output;
}

/** `x.trc.gz` and `-a` make `x-a.trc.gz`. */
function withSuffix(path: string, suffix: string): string {
  const { dir, name, ext } = parse(path);
  const inner = parse(name);
  return ext === '.gz'
    ? join(dir, `${inner.name}${suffix}${inner.ext}${ext}`)
    : join(dir, `${name}${suffix}${ext}`);
}

/** What the recorder looks for; it takes them away, so that the program and its children do not see them. */
function recorderVariables(path: string, { maxEvents, maxBytes }: RecordOptions): Record<string, string> {
  return {
    LAZYSHADOW_RECORD: path,
    ...(maxEvents === undefined ? {} : { LAZYSHADOW_RECORD_MAX_EVENTS: String(maxEvents) }),
    ...(maxBytes === undefined ? {} : { LAZYSHADOW_RECORD_MAX_BYTES: String(maxBytes) }),
  };
}

/** A shell script for -exec, which GOFLAGS takes if its path has no blank. */
async function writeScript(directory: string, body: string): Promise<string> {
  const path = join(directory, 'exec');
  if (/\s/.test(path))
    throw new LazyShadowError(
      'ERR_CANNOT_RECORD',
      `Go takes no -exec from a directory with a blank in its name: ${directory}. Set TMPDIR to another.`,
      { verb: 'record' },
    );
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A path stays one; a bare name is looked for in PATH, as a shell does. */
function resolveCommand(command: string): string {
  return command.includes('/') ? resolve(command) : command;
}
