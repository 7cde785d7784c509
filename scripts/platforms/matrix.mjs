// The matrix: which cells there are, and what each does. A cell gives { passed, skipped, failures, notes }.
import { join } from 'node:path';
import { buildAddon } from './addons.mjs';
import { execute, root, work } from './commands.mjs';
import { CONTRACT_TARGETS, holdContract, notHere } from './contract.mjs';
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
const MINUTES = 60_000;

/** What does not run under Wine and qemu, and why; everything else does. */
const NOT_EMULATED = {
  'test/package.test.ts': 'the last column is the same, with the real tarball',
  'test/native/os-memory-program.test.ts': 'the column "C++ contract" is the same',
  'test/cli/measure.test.ts': 'its layouts reserve 18 TiB, which an emulator pays for page by page',
};

/** What is left out under qemu only. */
const TOO_SLOW = {
  'test/heap/model.test.ts': 'a million steps',
  'test/heap/oom.test.ts': 'every step of a heap refused, thousands of heaps',
  'test/trace/recordings.test.ts': 'reads 20 million events',
};

/** Where tests are run: the Node versions, how Node is started, and what of the tests. */
const HOSTS = {
  [here]: { start: nativeHost, versions: [20, 22, 24, 26], suite: {} },
  ...(isLinux && {
    'win32-x64': {
      start: wineHost,
      versions: [20, 22, 24],
      suite: emulated('wine', ['--testTimeout=120000']),
      attempts: 2,
    },
    'linux-arm64': {
      start: qemuHost,
      versions: [22],
      suite: emulated('qemu', ['--testTimeout=300000'], TOO_SLOW),
      attempts: 2,
    },
  }),
};

function emulated(emulator, flags, more = {}) {
  const left = Object.keys({ ...NOT_EMULATED, ...more }).map((file) => `--exclude=${file}`);
  return { flags: [...flags, ...left], env: { LAZYSHADOW_TEST_EMULATED: emulator }, timeoutMs: 10 * MINUTES };
}

/** The version of Node for a major number: this very Node, where it is one. */
function exactVersion(major) {
  const own = process.versions.node;
  return own.startsWith(`${major}.`) ? own : NODE_VERSIONS[major];
}

let isLibraryBuilt = false;
function buildLibrary() {
  if (isLibraryBuilt) return;
  execute([process.execPath, join(root, 'scripts', 'build-lib.mjs')], { log: join(work, 'build-lib.log') });
  isLibraryBuilt = true;
}

/** All cells, in the order in which they run: { platform, column, run, attempts }. */
export function cells() {
  const all = [];
  const add = (platform, column, run, attempts = 1) => all.push({ platform, column, run, attempts });
  for (const target of isLinux ? Object.keys(TARGETS) : [here]) {
    add(target, 'addon', () => ({ built: true, notes: [buildAddon(target)] }));
  }
  for (const name of CONTRACT_TARGETS) {
    if (notHere(name) === undefined) {
      add(name === 'host' ? here : name, 'C++ contract', () => contractResult(holdContract(name)));
    }
  }
  for (const [platform, { start, suite, versions, attempts }] of Object.entries(HOSTS)) {
    for (const major of versions) {
      const version = exactVersion(major);
      const run = () => {
        buildLibrary();
        buildAddon(platform);
        return runSuite(platform, start(version), suite);
      };
      add(platform, `Node ${major}`, run, attempts);
    }
    const [first] = versions;
    const run = () => {
      buildLibrary();
      const { tarball, binaries, sizeBytes } = pack();
      const notes = [`the tarball has ${binaries.join(', ')}: ${Math.round(sizeBytes / 1024)} KiB`];
      return { ...tryInstalled(tarball, start(exactVersion(first))), notes };
    };
    add(platform, 'installed package', run, attempts);
  }
  return all;
}

function contractResult({ ran, lines }) {
  const passed = lines.reduce((sum, line) => sum + Number(/(\d+) checks, 0 failed/.exec(line)?.[1] ?? 0), 0);
  const skipped = lines.flatMap((line) => line.match(/skipped: .*/g) ?? []);
  return { built: !ran, passed, skipped: 0, failures: [], notes: skipped };
}

/** What the emulated platforms leave out, and why, as lines. */
export function leftOut() {
  const rows = (all, where) => Object.entries(all).map(([file, why]) => `${file}${where}: ${why}`);
  return [...rows(NOT_EMULATED, ''), ...rows(TOO_SLOW, ' (qemu only)')];
}
