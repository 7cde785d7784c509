// The matrix: which cells there are, and what each does. A cell's `run` gives { passed, skips, failures, notes }, or
// { built, notes } where nothing could be run. Cells with the same `lock` never run at the same time.
import { join } from 'node:path';
import { addonPath, buildAddon } from './addons.mjs';
import { execute, once, root, work } from './commands.mjs';
import { CONTRACT_TARGETS, holdContract, isSanitized, notHere } from './contract.mjs';
import { nativeHost, qemuHost, wineHost } from './hosts.mjs';
import { pack, tryInstalled } from './package.mjs';
import { runSuite } from './suite.mjs';
import { TARGETS } from './targets.mjs';

/** The versions of Node, each of which the registry has for every platform. */
const NODE_VERSIONS = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' };

export const COLUMNS = [
  'addon',
  'C++ contract',
  ...Object.keys(NODE_VERSIONS).map((major) => `Node ${major}`),
  'installed package',
];

const here = `${process.platform}-${process.arch}`;
const isLinux = here === 'linux-x64';
/** What addons are built for here: everything, where the cross compilers run. */
const buildable = isLinux ? Object.keys(TARGETS) : [here];

/** The tests that reach the operating system's memory. The others are arithmetic, which V8 does alike everywhere. */
const PLATFORM_SUITE = [
  'test/platforms',
  'test/native',
  'test/shadow',
  'test/heap/heap.test.ts',
  'test/heap/scavenger.test.ts',
  'test/heap/sys.test.ts',
  'test/race/heap-and-race.test.ts',
  'test/trace/replay-recordings.test.ts',
  'test/trace/parts.test.ts',
  'test/public-surface.test.ts',
];

/** What of it is left out where each instruction is emulated, beside the tests that skip themselves, and why. */
const LEFT_OUT_OF_QEMU = {
  'test/platforms/heap-windows.test.ts': 'the heap’s own arithmetic, which takes minutes there',
  'test/native/views.test.ts': 'V8’s collector, which takes a minute there',
  'test/native/bad-input.test.ts': 'arguments are refused before anything is asked of the system',
  'test/native/limits.test.ts': 'the limits are the kernel’s, and starve the emulator',
};

/** What Node's version makes no difference to, and takes more than half of the whole suite's time. `npm test` runs it. */
const LEFT_OUT_BESIDE_NPM_TEST = {
  'test/cli/measure.test.ts': 'tables of what is measured; measuring has its own tests',
  'test/cli/terminal.test.ts': 'what a terminal shows, and the signals that it sends',
  'test/race/exactness.test.ts': 'arithmetic; the recordings have exact answers too',
  'test/readme.test.ts': 'the README’s commands; those of the command line have their own tests',
  'test/report/page.test.ts': 'what Chromium shows',
  'test/native/os-memory-program.test.ts': 'a program without Node',
  'test/package.test.ts': 'what the package has in it; the installed package has a column',
  'test/scripts.test.ts': 'scripts for who works on this',
  'test/trace/part.test.ts': 'arithmetic; workers have their own tests',
  'test/trace/recall.test.ts': 'arithmetic; the recordings are replayed either way too',
};

const WINE = { flags: ['--testTimeout=120000'], env: { LAZYSHADOW_TEST_EMULATED: 'wine' } };
const QEMU = {
  flags: ['--testTimeout=300000', ...excluding(LEFT_OUT_OF_QEMU)],
  env: { LAZYSHADOW_TEST_EMULATED: 'qemu' },
};
const WHOLE = {
  what: 'the whole suite, but for what Node’s version makes no difference to',
  files: [],
  flags: excluding(LEFT_OUT_BESIDE_NPM_TEST),
};
const PART = { what: `the platform suite: ${PLATFORM_SUITE.join(', ')}`, files: PLATFORM_SUITE };

/**
 * Where tests are run: how Node is started, and for each version of it which tests. Wine's come first, since they follow
 * one another, and the others can go on beside them. What an emulator runs gets a second attempt, for its own mistakes;
 * nothing else does.
 */
const HOSTS = {
  ...(isLinux && {
    // Its processes share a server, which is ended with them.
    'win32-x64': {
      start: wineHost,
      suite: WINE,
      versions: { 20: PART, 22: PART, 24: PART, 26: PART },
      lock: 'wine',
      attempts: 2,
    },
    'linux-arm64': { start: qemuHost, suite: QEMU, versions: { 22: PART }, attempts: 2 },
  }),
  // With the Node that runs this, `npm test` runs the whole suite; CI has done so just before.
  [here]: {
    start: nativeHost,
    suite: {},
    versions: { 20: WHOLE, 22: WHOLE, 24: WHOLE, 26: WHOLE, [ownMajor()]: { ...PART, flags: WHOLE.flags } },
  },
};

/** Vitest's words for leaving files out. */
function excluding(leftOut) {
  return Object.keys(leftOut).map((file) => `--exclude=${file}`);
}

/** The version of Node for a major number: this very Node, where it is one. */
function exactVersion(major) {
  return Number(major) === ownMajor() ? process.versions.node : NODE_VERSIONS[major];
}

function ownMajor() {
  return Number.parseInt(process.versions.node, 10);
}

const buildLibrary = once((script) =>
  execute([process.execPath, script], { log: join(work, 'build-lib.log') }),
);
const BUILD_LIBRARY = join(root, 'scripts', 'build-lib.mjs');

/** All cells, in the order of the table: { platform, column, run, attempts, lock, isLong }. */
export function cells() {
  const all = [];
  const add = (platform, column, run, { attempts = 1, lock, isLong = false } = {}) =>
    all.push({ platform, column, run, attempts, lock, isLong });
  for (const target of buildable) {
    add(target, 'addon', async () => ({ built: true, notes: [await buildAddon(target)] }));
  }
  for (const name of CONTRACT_TARGETS) {
    if (notHere(name) !== undefined || isSanitized(name)) continue;
    const lock = name === 'win32-x64' ? 'wine' : undefined;
    // Linked with musl itself, which is compiled first, with its C++ library: seven minutes.
    const isLong = name === 'linux-musl-x64';
    add(name === 'host' ? here : name, 'C++ contract', async () => contractResult(await holdContract(name)), {
      lock,
      isLong,
    });
  }
  for (const [platform, { start, suite, versions, ...how }] of Object.entries(HOSTS)) {
    for (const [major, { what, files, flags = [] }] of Object.entries(versions)) {
      const version = exactVersion(major);
      const run = async () => {
        await buildLibrary(BUILD_LIBRARY);
        await buildAddon(platform);
        const result = await runSuite(`${platform}-${major}`, addonPath(platform), await start(version), {
          ...suite,
          files,
          flags: [...(suite.flags ?? []), ...flags],
        });
        return { ...result, notes: [what] };
      };
      add(platform, `Node ${major}`, run, { ...how, isLong: true });
    }
    const run = async () => {
      await buildLibrary(BUILD_LIBRARY);
      for (const target of buildable) await buildAddon(target);
      const { tarball, binaries, sizeBytes } = await pack(work);
      const lacking = buildable.filter((target) => !binaries.includes(target));
      if (lacking.length > 0) throw new Error(`the tarball has no binary for ${lacking.join(', ')}`);
      const notes = [`the tarball has ${binaries.join(', ')}: ${Math.round(sizeBytes / 1024)} KiB`];
      const [first] = Object.keys(versions);
      return { ...(await tryInstalled(tarball, await start(exactVersion(first)))), notes };
    };
    add(platform, 'installed package', run, how);
  }
  return all;
}

function contractResult({ ran, lines }) {
  const passed = lines.reduce((sum, line) => sum + Number(/(\d+) checks, 0 failed/.exec(line)?.[1] ?? 0), 0);
  const skipped = lines.flatMap((line) => line.match(/skipped: .*/g) ?? []);
  return { built: !ran, passed, notes: skipped };
}

/** What is left out where, and why, as lines. */
export function leftOut() {
  const lines = (where, leftOut) => Object.entries(leftOut).map(([file, why]) => `${file}, ${where}: ${why}`);
  return [...lines('under qemu', LEFT_OUT_OF_QEMU), ...lines('beside `npm test`', LEFT_OUT_BESIDE_NPM_TEST)];
}
