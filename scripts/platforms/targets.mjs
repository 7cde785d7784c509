// The platforms that the addon is built for, and how: as data.
//
// What the addon is made of is read from binding.gyp, which therefore stays plain JSON; node-gyp builds from the same.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, root, work } from './commands.mjs';
import { nodeApiHeaders, program, zig } from './tools.mjs';

/** The oldest glibc that a Node of version 20 or later runs on; and the oldest macOS that is asked of users. */
export const GLIBC = '2.28';
export const MACOS = '13.0';

/** Where lib/native/addon.ts finds each, below prebuilds/napi-v8, and what compiles it. */
export const TARGETS = {
  'linux-x64': { os: 'linux', folder: 'linux/x64', compiler: () => zigFor(`x86_64-linux-gnu.${GLIBC}`) },
  'linux-musl-x64': { os: 'linux', folder: 'linux-musl/x64', compiler: () => zigFor('x86_64-linux-musl') },
  'linux-arm64': { os: 'linux', folder: 'linux/arm64', compiler: () => zigFor(`aarch64-linux-gnu.${GLIBC}`) },
  'win32-x64': { os: 'win', folder: 'win32/x64', compiler: mingw },
  'darwin-x64': { os: 'mac', folder: 'darwin/x64', compiler: () => zigFor(`x86_64-macos.${MACOS}`) },
  'darwin-arm64': { os: 'mac', folder: 'darwin/arm64', compiler: () => zigFor(`aarch64-macos.${MACOS}`) },
};

/** zig's C++ compiler for a target; its macOS headers would bury every other warning under their own. */
export async function zigFor(target) {
  const { command, env } = await zig();
  const macos = target.includes('macos');
  return {
    command: [...command, 'c++', '-target', target, '-Wno-nullability-completeness'],
    link: macos ? ['-Wl,-undefined,dynamic_lookup'] : ['-s'],
    env,
  };
}

async function mingw() {
  return {
    command: [await program('x86_64-w64-mingw32-g++-posix')],
    link: ['-static', '-s', `-L${await nodeImportLibrary()}`, '-lnode', '-lpsapi'],
    env: {},
  };
}

/** The folder of libnode.a, through which an addon for Windows imports Node-API's functions from node.exe. */
async function nodeImportLibrary() {
  const folder = join(work, 'import-library');
  mkdirSync(folder, { recursive: true });
  const definitions = join(folder, 'node.def');
  const exports = ['NAME node.exe', 'EXPORTS', ...(await nodeApiFunctions()).sort()];
  writeFileSync(definitions, `${exports.join('\n')}\n`);
  const library = join(folder, 'libnode.a');
  await execute(['x86_64-w64-mingw32-dlltool', '-d', definitions, '-D', 'node.exe', '-l', library], {
    log: join(folder, 'dlltool.log'),
  });
  return folder;
}

/** The names of all functions of Node-API. */
export async function nodeApiFunctions() {
  const folder = join(await nodeApiHeaders(), 'def');
  const names = readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => /^(napi|node_api)_\w+$/.test(line)),
  );
  return [...new Set(names)];
}

/** What binding.gyp says: of the addon on every system, and of what one of gyp's systems adds. */
function gypTarget(os) {
  const [target] = JSON.parse(readFileSync(join(root, 'binding.gyp'), 'utf8')).targets;
  const [, forSystem] = target.conditions.find(([condition]) => condition === `OS=='${os}'`);
  return { target, forSystem };
}

/** The sources, from the root, that only one of gyp's systems has: they know the system, and nothing of Node. */
export function platformSources(os) {
  return gypTarget(os).forSystem.sources;
}

/** The addon's sources, from the root, and the flags they are compiled with, for one of gyp's systems. */
export function addonRecipe(os) {
  const { target, forSystem } = gypTarget(os);
  const defines = [
    ...target.defines,
    `NODE_GYP_MODULE_NAME=${target.target_name}`,
    'BUILDING_NODE_EXTENSION',
  ];
  return {
    name: target.target_name,
    sources: [...target.sources, ...forSystem.sources],
    flags: [...target.cflags_cc, '-O3', ...defines.map((define) => `-D${define}`)],
  };
}
