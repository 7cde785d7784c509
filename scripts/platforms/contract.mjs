// The C++ programs of test/native, which hold native/'s platform sources to their contract without Node: built for
// every platform, and run directly, under Wine, or under qemu. macOS is compiled and linked only, unless this is a Mac.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, root, work } from './commands.mjs';
import { platformSources, zigFor } from './targets.mjs';
import { program, wineEnvironment } from './tools.mjs';

const out = join(work, 'contract');
const GiB = 2 ** 30;

const FLAGS = ['-std=c++17', '-O1', '-g', '-Wall', '-Wextra', '-I', join(root, 'native')];

/** Whatever they report ends the program. */
export const ADDRESS_SANITIZER = [
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=undefined',
  '-fno-omit-frame-pointer',
];
export const THREAD_SANITIZER = ['-fsanitize=thread'];

/** What each program is made of, besides the platform's sources. */
const SOURCES = {
  os_memory_test: ['', '_commit', '_file', '_limits', '_numbers', '_reservation', '_support'].map(
    (part) => `test/native/os_memory_test${part}.cc`,
  ),
  cgroup_linux_test: ['test/native/cgroup_linux_test.cc'],
  // With all of native/ that knows nothing of Node and of no system.
  threads_test: [
    'test/native/threads_test.cc',
    ...['fixed_mappings', 'range_set', 'release', 'reservation', 'reserved_memory', 'shadow_map'].map(
      (name) => `native/${name}.cc`,
    ),
  ],
};

/** Larger pages and granularity than the machine's, as Apple silicon, some arm64 kernels and Windows have. */
const SIMULATED = [
  { LAZYSHADOW_TEST_PAGE_SIZE: 16384, LAZYSHADOW_TEST_GRANULARITY: 65536 },
  { LAZYSHADOW_TEST_PAGE_SIZE: 65536, LAZYSHADOW_TEST_GRANULARITY: 1048576 },
];

const LINUX = { os: 'linux', programs: ['os_memory_test', 'cgroup_linux_test'] };
const WINDOWS = {
  os: 'win',
  programs: ['os_memory_test'],
  flags: ['-static'],
  libraries: ['-lpsapi'],
  suffix: '.exe',
};
const MACOS = { os: 'mac', programs: ['os_memory_test'] };
const HOSTS = { linux: LINUX, win32: WINDOWS, darwin: MACOS };

/** A compiler of this machine, by its name. */
const installed = async (name, ...flags) => ({ command: [await program(name), ...flags], env: {} });

/** ThreadSanitizer keeps places for its own memory, which programs run into that are placed more at random. */
function notTooRandom() {
  const bits = Number(readFileSync('/proc/sys/vm/mmap_rnd_bits', 'utf8'));
  return bits > 28 ? ['setarch', '-R'] : [];
}

/**
 * `compiler` and `runner` fetch their tools when they are called; `runner` gives what to put before the program, and
 * is null where it cannot run. `options`: the program's own.
 */
const TARGETS = {
  host: {
    ...HOSTS[process.platform],
    compiler: () => installed('g++'),
    runner: () => ({ command: [] }),
    simulated: SIMULATED,
  },
  sanitizers: {
    ...LINUX,
    programs: [...LINUX.programs, 'threads_test'],
    compiler: () => installed('g++', ...ADDRESS_SANITIZER),
    isSanitized: true,
    runner: () => ({ command: [] }),
    simulated: SIMULATED,
    only: ['linux'],
  },
  'thread-sanitizer': {
    ...LINUX,
    programs: ['threads_test'],
    compiler: () => installed('g++', ...THREAD_SANITIZER),
    isSanitized: true,
    runner: () => ({ command: notTooRandom() }),
    only: ['linux'],
  },
  'linux-musl-x64': {
    ...LINUX,
    compiler: () => zigFor('x86_64-linux-musl'),
    flags: ['-static'],
    runner: () => ({ command: [] }),
    only: ['linux'],
  },
  'linux-arm64': {
    ...LINUX,
    compiler: () => installed('aarch64-linux-gnu-g++', '-static'),
    runner: async () => ({ command: [await program('qemu-aarch64-static')] }),
    options: ['--emulated', '--reserve', String(64 * GiB)], // a page table of the emulator's own for each page
    only: ['linux'],
  },
  'win32-x64': {
    ...WINDOWS,
    compiler: () => installed('x86_64-w64-mingw32-g++-posix'),
    runner: async () => ({ command: [await program('wine')], env: await wineEnvironment() }),
    simulated: SIMULATED,
    only: ['linux'],
  },
  'darwin-x64': { ...MACOS, compiler: () => zigFor('x86_64-macos'), runner: null, only: ['linux'] },
  'darwin-arm64': { ...MACOS, compiler: () => zigFor('aarch64-macos'), runner: null, only: ['linux'] },
};

export const CONTRACT_TARGETS = Object.keys(TARGETS);

/** Why a target makes no sense on this system, or undefined. */
export function notHere(name) {
  const { only } = TARGETS[name];
  return only && !only.includes(process.platform) ? `not on ${process.platform}` : undefined;
}

/** Whether a target is this machine under a sanitizer, no platform of its own: scripts/sanitizers.mjs runs it. */
export function isSanitized(name) {
  return TARGETS[name].isSanitized === true;
}

/**
 * Builds and runs a target's programs.
 * @param options more options, by program
 * @param timeoutMs for each program
 * @returns whether they ran, and what they said, a line each
 * @throws ToolMissing, or Error with what does not hold
 */
export async function holdContract(name, { options = {}, timeoutMs } = {}) {
  const target = TARGETS[name];
  mkdirSync(out, { recursive: true });
  const compiler = await target.compiler();
  const runner = await target.runner?.();
  const lines = [];
  for (const test of target.programs) {
    const binary = join(out, `${name}-${test}${target.suffix ?? ''}`);
    const isMemory = test === 'os_memory_test';
    const sources = [...SOURCES[test], ...platformSources(target.os)].map((file) => join(root, file));
    const flags = [...FLAGS, ...(target.flags ?? [])];
    const build = [...compiler.command, ...flags, ...sources, '-o', binary];
    const log = join(out, `${name}-${test}`);
    await execute([...build, ...(target.libraries ?? [])], { env: compiler.env, log: `${log}-build.log` });
    if (runner === undefined) {
      lines.push(`${test}: compiled and linked; it cannot run here`);
      continue;
    }
    for (const simulated of isMemory ? [{}, ...(target.simulated ?? [])] : [{}]) {
      const command = [
        ...runner.command,
        binary,
        ...(isMemory ? (target.options ?? []) : []),
        ...(options[test] ?? []),
      ];
      const env = { ...runner.env, ...simulated };
      lines.push(`${test}: ${await execute(command, { env, log: `${log}.log`, timeoutMs })}`);
    }
  }
  return { ran: runner !== undefined, lines };
}
