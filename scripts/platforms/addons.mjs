// Builds the addon for one platform after another into prebuilds/, where lib/native/addon.ts finds it, and looks
// into what came out: what each binary wants from the system it is loaded on.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, once, root, work } from './commands.mjs';
import { machO } from './mach-o.mjs';
import { addonRecipe, GLIBC, MACOS, nodeApiFunctions, TARGETS } from './targets.mjs';
import { nodeApiHeaders, zig } from './tools.mjs';

/** As lib/native/addon.ts has it. */
const PREBUILDS = join(root, 'prebuilds', 'napi-v8');

/** The path of a target's binary. */
export function addonPath(target) {
  return join(PREBUILDS, TARGETS[target].folder, 'lazyshadow.node');
}

/** A digest of all that a build depends on, so that nothing is built twice and nothing stale is kept. */
function digestOf(command) {
  const digest = createHash('sha256').update(JSON.stringify(command));
  const files = readdirSync(join(root, 'native')).filter((file) => /\.(cc|h)$/.test(file));
  for (const file of files.sort()) {
    digest.update(file).update(readFileSync(join(root, 'native', file)));
  }
  return digest.digest('hex');
}

/**
 * The words that compile an addon.
 * @param os one of gyp's systems
 * @param how `command`: the compiler; `link`: what comes last
 * @param sources from the root
 */
export async function compileCommand(os, { command, link }, sources) {
  const includes = [join(root, 'node_modules', 'node-addon-api'), join(await nodeApiHeaders(), 'include')];
  return [
    ...command,
    ...addonRecipe(os).flags,
    ...(os === 'win' ? [] : ['-fPIC']),
    ...includes.map((path) => `-I${path}`),
    '-shared',
    ...sources,
    ...link,
  ];
}

/**
 * Builds a target's binary, if it is not there already, and checks it.
 * @returns a line that says what it wants
 * @throws ToolMissing, or Error with the compiler's output or what is wrong with the binary
 */
export const buildAddon = once(async (target) => {
  const { os, folder, compiler } = TARGETS[target];
  const { name, sources } = addonRecipe(os);
  const { env, ...how } = await compiler();
  const build = await compileCommand(os, how, sources);
  const path = addonPath(target);
  const stamp = join(work, `${target}.digest`);
  const digest = digestOf(build);
  if (!existsSync(path) || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) {
    rmSync(path, { force: true });
    mkdirSync(join(PREBUILDS, folder), { recursive: true });
    await execute([...build, '-o', path], { env, log: join(work, `${target}-build.log`) });
    if (!existsSync(path)) throw new Error(`${name} was compiled for ${target}, but there is no binary`);
    writeFileSync(stamp, digest);
  }
  return CHECKS[os](path, target);
});

const CHECKS = { linux: checkElf, mac: checkMachO, win: checkPe };

/** The names of Node-API's entry points that Node looks for in an addon. */
const ENTRY = 'napi_register_module_v1';

async function checkElf(path, target) {
  const log = join(work, `${target}-readelf.log`);
  const symbols = (await execute(['readelf', '-W', '--dyn-syms', path], { log }))
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , , bind]) => bind === 'GLOBAL' || bind === 'WEAK')
    .map(([, , , , bind, , section, name]) => ({ bind, isDefined: section !== 'UND', name }));
  if (!symbols.some(({ name, isDefined }) => name === ENTRY && isDefined)) throw new Error(`no ${ENTRY}`);
  const dynamic = await execute(['readelf', '-d', path], { log });
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)];
  const versions = symbols.flatMap(({ name }) => /@GLIBC_([\d.]+)/.exec(name)?.[1] ?? []);
  const newest = versions.sort(compareVersions).at(-1);
  const isMusl = target.includes('musl');
  if (isMusl && newest !== undefined) throw new Error(`it wants glibc ${newest}`);
  if (!isMusl && compareVersions(newest ?? '0', GLIBC) > 0) throw new Error(`it wants glibc ${newest}`);
  const known = new Set(await nodeApiFunctions());
  const strangers = symbols.filter(
    ({ bind, isDefined, name }) =>
      bind === 'GLOBAL' && !isDefined && /^(napi|node_api)_/.test(name) && !known.has(name),
  );
  if (strangers.length > 0) throw new Error(`Node has no ${strangers.map(({ name }) => name).join(', ')}`);
  const needs = libraries.map(([, library]) => library).join(', ');
  return isMusl ? `needs ${needs}` : `needs glibc ${newest} or later (${needs})`;
}

const compareVersions = (a, b) => a.localeCompare(b, 'en', { numeric: true });

/** Every symbol that a macOS binary wants is Node's, or the system library's as the SDK's stubs list them. */
async function checkMachO(path, target) {
  const { cpu, minimumSystem, libraries, wanted, offered } = machO(readFileSync(path));
  if (cpu !== target.split('-')[1]) throw new Error(`it is for ${cpu}`);
  if (minimumSystem !== MACOS) throw new Error(`it wants macOS ${minimumSystem}`);
  if (!offered.includes(`_${ENTRY}`)) throw new Error(`no ${ENTRY}`);
  const stubs = join((await zig()).env.ZIG_LIB_DIR, 'libc', 'darwin', 'libSystem.tbd');
  const known = new Set(readFileSync(stubs, 'utf8').match(/[\w$.]+/g));
  for (const name of await nodeApiFunctions()) known.add(`_${name}`);
  const strangers = wanted.filter((name) => !known.has(name));
  if (strangers.length > 0) throw new Error(`nobody has ${strangers.join(', ')}`);
  const foreign = libraries.filter((library) => library !== '/usr/lib/libSystem.B.dylib');
  if (foreign.length > 0) throw new Error(`it needs ${foreign.join(', ')}`);
  return `compiled and linked; its ${wanted.length} undefined symbols are Node's or libSystem's; needs macOS ${minimumSystem}`;
}

async function checkPe(path) {
  const log = join(work, 'win32-x64-objdump.log');
  const text = await execute(['x86_64-w64-mingw32-objdump', '-p', path], { log });
  if (!text.includes(ENTRY)) throw new Error(`no ${ENTRY}`);
  const libraries = [...text.matchAll(/DLL Name: (\S+)/g)].map(([, library]) => library);
  const foreign = libraries.filter((library) => !/^(node\.exe|kernel32|msvcrt|psapi)/i.test(library));
  if (foreign.length > 0) throw new Error(`it needs ${foreign.join(', ')}`);
  return `needs ${libraries.join(', ')}`;
}
