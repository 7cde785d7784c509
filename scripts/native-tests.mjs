// Builds the C++ test programs of test/native with native/'s platform sources, for every platform whose tools are
// here, and runs them: directly, under Wine, under qemu. macOS is compiled and linked only, unless this is a Mac.
//
//     node scripts/native-tests.mjs [--require-all] [TARGET ...]
//
// A target whose tools are missing is skipped with the reason; with --require-all that is a failure. Exits 1 if
// anything failed. Environment: ZIG (the zig command), WINEPREFIX (build/wine by default).
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'build', 'native-tests');
const GiB = 2 ** 30;

const FLAGS = ['-std=c++17', '-O1', '-g', '-Wall', '-Wextra', '-I', join(root, 'native')];
const ZIG = process.env.ZIG ?? 'zig';
const WINE = {
  WINEPREFIX: process.env.WINEPREFIX ?? join(root, 'build', 'wine'),
  WINEARCH: 'win64',
  WINEDEBUG: '-all',
};

/** Larger pages and granularity than the machine's, as Apple silicon, some arm64 kernels and Windows have. */
const SIMULATED = [
  { LAZYSHADOW_TEST_PAGE_SIZE: 16384, LAZYSHADOW_TEST_GRANULARITY: 65536 },
  { LAZYSHADOW_TEST_PAGE_SIZE: 65536, LAZYSHADOW_TEST_GRANULARITY: 1048576 },
];

const LINUX = { sources: /_(linux|posix)\.cc$/, programs: ['os_memory_test', 'cgroup_linux_test'] };
const WINDOWS = {
  sources: /_windows\.cc$/,
  programs: ['os_memory_test'],
  flags: ['-static'],
  libraries: ['-lpsapi'],
  suffix: '.exe',
};
const MACOS = { sources: /_(darwin|posix)\.cc$/, programs: ['os_memory_test'] };
const HOSTS = { linux: LINUX, win32: WINDOWS, darwin: MACOS };

/** `run`: what to put before the program; null where it cannot run. `options`: the program's own. */
const TARGETS = {
  host: { ...HOSTS[process.platform], compile: ['g++'], run: [], simulated: SIMULATED },
  sanitizers: {
    ...HOSTS[process.platform],
    compile: ['g++', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    run: [],
    simulated: SIMULATED,
    only: ['linux', 'darwin'],
  },
  'win32-x64': {
    ...WINDOWS,
    compile: ['x86_64-w64-mingw32-g++-posix'],
    run: ['wine'],
    env: WINE,
    simulated: SIMULATED,
    only: ['linux'],
  },
  'linux-arm64': {
    ...LINUX,
    compile: ['aarch64-linux-gnu-g++', '-static'],
    run: ['qemu-aarch64-static'],
    options: ['--emulated', '--reserve', String(64 * GiB)], // a page table of the emulator's own for each page
    only: ['linux'],
  },
  'darwin-x64': { ...MACOS, compile: [ZIG, 'c++', '-target', 'x86_64-macos'], run: null, only: ['linux'] },
  'darwin-arm64': { ...MACOS, compile: [ZIG, 'c++', '-target', 'aarch64-macos'], run: null, only: ['linux'] },
};

const isInstalled = (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error === undefined;

/** Runs a command with its output in a file, since Wine's programs cannot write to a pipe; gives that output. */
function execute([command, ...args], name, env = {}) {
  const path = join(out, `${name}.log`);
  const log = openSync(path, 'w');
  const { status, signal, error } = spawnSync(command, args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
    timeout: 600_000,
  });
  closeSync(log);
  const text = readFileSync(path, 'utf8').trim();
  if (status !== 0) throw new Error(`${text}\n${command}: ${error ?? signal ?? `exit ${status}`}`);
  return text;
}

function test(name, target) {
  const native = readdirSync(join(root, 'native')).filter((file) => target.sources.test(file));
  const sources = native.map((file) => join(root, 'native', file));
  const lines = [];
  for (const program of target.programs) {
    const binary = join(out, `${name}-${program}${target.suffix ?? ''}`);
    const source = join(root, 'test', 'native', `${program}.cc`);
    const flags = [...FLAGS, ...(target.flags ?? [])];
    const build = [
      ...target.compile,
      ...flags,
      source,
      ...sources,
      '-o',
      binary,
      ...(target.libraries ?? []),
    ];
    execute(build, `${name}-${program}-build`);
    if (target.run === null) {
      lines.push(`${program}: compiled and linked; it cannot run here`);
      continue;
    }
    const isMemory = program === 'os_memory_test';
    for (const simulated of isMemory ? [{}, ...(target.simulated ?? [])] : [{}]) {
      const command = [...target.run, binary, ...(isMemory ? (target.options ?? []) : [])];
      lines.push(`${program}: ${execute(command, `${name}-${program}`, { ...target.env, ...simulated })}`);
    }
  }
  return lines;
}

const requireAll = process.argv.includes('--require-all');
const wanted = process.argv.slice(2).filter((argument) => argument !== '--require-all');
for (const name of wanted) {
  if (!(name in TARGETS)) throw new Error(`no target ${name}: there are ${Object.keys(TARGETS).join(', ')}`);
}

mkdirSync(out, { recursive: true });
let failed = false;
for (const [name, target] of Object.entries(TARGETS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  if (target.only && !target.only.includes(process.platform)) {
    console.log(`${name}: skipped: not on ${process.platform}`);
    continue;
  }
  const tools = [target.compile[0], ...(target.run ?? [])];
  const missing = tools.filter((tool) => !isInstalled(tool));
  if (missing.length > 0) {
    console.log(`${name}: ${requireAll ? 'failed' : 'skipped'}: ${missing.join(', ')} not found`);
    failed ||= requireAll;
    continue;
  }
  try {
    if (target.env?.WINEPREFIX && !existsSync(target.env.WINEPREFIX)) {
      execute(['wine', 'wineboot', '-i'], 'wineboot', target.env);
    }
    const lines = test(name, target);
    console.log(
      `${name}: ${target.run === null ? 'built' : 'passed'}\n  ${lines.join('\n').replaceAll('\n', '\n  ')}`,
    );
  } catch (error) {
    console.log(`${name}: failed\n${error.message}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
