// The package as a stranger gets it: packed with its binaries, installed into an empty project with install scripts
// off, and used by require, by import and from the command line.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, npm, once, retried, work } from './commands.mjs';
import { TARGETS } from './targets.mjs';

/** Packs the package into a folder; says which of the targets' binaries are in it. */
export const pack = once(async (folder) => {
  const flags = ['--json', '--loglevel=error', '--ignore-scripts', '--pack-destination', folder];
  const [packed] = JSON.parse(await execute(npm('pack', ...flags), { log: join(work, 'pack.log') }));
  const files = new Set(packed.files.map(({ path }) => path));
  const holds = ({ folder }) => files.has(`prebuilds/napi-v8/${folder}/lazyshadow.node`);
  const binaries = Object.keys(TARGETS).filter((target) => holds(TARGETS[target]));
  return { tarball: join(folder, packed.filename), binaries, sizeBytes: packed.size };
});

const USE = `
  const reservation = Reservation.reserve(2 ** 30);
  const committed = reservation.commit(reservation.address + 1, 1);
  reservation.bytes(reservation.address, committed).fill(1);
  const { osCommittedBytes } = reservation.stats();
  reservation.release();
  if (committed < 4096 || osCommittedBytes !== committed) throw new Error('committed ' + committed);
  try {
    Reservation.reserve(0);
  } catch (error) {
    if (error instanceof LazyShadowError) console.log('as it should be');
  }
`;

/** What is tried in the project, and what its output must be like. `main`: the command line. */
function trials(main, { reserves }) {
  const policies = reserves ? 'lazy,touch' : 'unreserved';
  return [
    [
      'require',
      ['-e', `const { LazyShadowError, Reservation } = require('lazyshadow');${USE}`],
      /as it should/,
    ],
    [
      'import',
      ['--input-type=module', '-e', `import { LazyShadowError, Reservation } from 'lazyshadow';${USE}`],
      /as it should/,
    ],
    ['lazyshadow --version', [main, '--version'], /^\d+\.\d+\.\d+$/],
    ['lazyshadow doctor', [main, 'doctor', '--json'], /"page size"/],
    [
      'lazyshadow measure',
      [main, 'measure', '--workload', 'growth', '--heap', '16MiB', '--policy', policies],
      reserves ? /^touch .* 1\.[01]\d /m : /^unreserved .*\d /m,
    ],
  ];
}

/**
 * Installs a tarball for a host and tries it.
 * @param host from hosts.mjs
 * @returns passed, failed and skipped, as a suite's
 */
export async function tryInstalled(tarball, host) {
  const project = join(work, 'installed', host.platform);
  rmSync(project, { recursive: true, force: true });
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{"name":"stranger","private":true}\n');
  const [os, cpu] = host.platform.split('-');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', `--os=${os}`, `--cpu=${cpu}`];
  const log = join(work, `installed-${host.platform}.log`);
  await retried(() => execute(npm('install', ...flags, tarball), { cwd: project, log }));

  const home = join('node_modules', 'lazyshadow');
  const main = join(home, 'dist', 'esm', 'cli', 'main.js');
  const failures = [];
  const attempt = async (name, args, expected) => {
    try {
      const output = await execute([...host.start, ...args], { cwd: project, env: host.env, log });
      if (!expected.test(output)) throw new Error(`it printed ${output}`);
      return 1;
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
      return 0;
    }
  };
  if (existsSync(join(project, home, 'build'))) failures.push('something was built by the installation');
  let passed = 0;
  for (const trial of trials(main, host)) passed += await attempt(...trial);

  // Without its binary, the package says what to install.
  renameSync(join(project, home, 'prebuilds'), join(project, home, 'no-prebuilds'));
  passed += await attempt('doctor without a binary', [main, 'doctor'], /native addon: .*C\+\+17 compiler/);
  return { passed, failures };
}
