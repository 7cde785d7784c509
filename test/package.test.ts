/**
 * The package as a stranger gets it: packed, unpacked into an empty project, imported, required, typed, run.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const posix = process.platform !== 'win32';
let project: string;
let files: string[];

/** Packages that the library itself needs; the rest are the command line's. */
const LIBRARY_PACKAGES = ['bindings', 'file-uri-to-path'];

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'lazyshadow-package-'));
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      shell: !posix,
    }),
  ) as [{ filename: string; files: { path: string }[] }];
  files = packed.files.map(({ path }) => path);
  const home = join(project, 'node_modules', 'lazyshadow');
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, packed.filename), '-C', home, '--strip-components=1']);
  // What node-gyp builds in a checkout, or a platform's binary in a package that was published.
  cpSync(
    join(root, 'build', 'Release', 'lazyshadow.node'),
    join(home, 'build', 'Release', 'lazyshadow.node'),
  );
  for (const name of LIBRARY_PACKAGES) {
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name), 'junction');
  }
  writeFileSync(join(project, 'package.json'), '{"name":"stranger","private":true}\n');
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

function node(kind: 'module' | 'commonjs', code: string): unknown {
  const script = join(project, kind === 'module' ? 'main.mjs' : 'main.cjs');
  writeFileSync(script, code);
  const { stdout, stderr, status } = spawnSync(process.execPath, [script], {
    cwd: project,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout);
}

const USE = `
  const reservation = Reservation.reserve(2 ** 30);
  const committed = reservation.commit(reservation.address, 1);
  reservation.release();
  let code;
  try { reservation.commit(0, 1); } catch (error) { code = error instanceof LazyShadowError && error.code; }
  console.log(JSON.stringify({ committed: committed > 0, code }));
`;

describe('the packed package', () => {
  it('holds what a user needs and nothing else', () => {
    expect(files).toContain('data/heapgrow.trc.gz');
    expect(files).toContain('dist/esm/index.d.ts');
    expect(files).toContain('dist/cjs/index.js');
    expect(files.filter((path) => /^(test|lib|scripts|node_modules|build)\//.test(path))).toEqual([]);
    expect(readdirSync(join(project, 'node_modules', 'lazyshadow'))).toContain('LICENSE');
  });

  it('works by import, with none of the command line’s packages', () => {
    expect(node('module', `import { LazyShadowError, Reservation } from 'lazyshadow';${USE}`)).toEqual({
      committed: true,
      code: 'ERR_RELEASED',
    });
  });

  it('works by require', () => {
    expect(node('commonjs', `const { LazyShadowError, Reservation } = require('lazyshadow');${USE}`)).toEqual(
      {
        committed: true,
        code: 'ERR_RELEASED',
      },
    );
  });

  it('knows its own errors across import and require', () => {
    const both = `
      import { createRequire } from 'node:module';
      import { LazyShadowError } from 'lazyshadow';
      const { Reservation } = createRequire(import.meta.url)('lazyshadow');
      try { Reservation.reserve(0); } catch (error) { console.log(JSON.stringify(error instanceof LazyShadowError)); }
    `;
    expect(node('module', both)).toBe(true);
  });

  it('measures, each policy in a process of its own', () => {
    const result = node(
      'commonjs',
      `require('lazyshadow').measure({ workload: 'growth', heapBytes: 2 ** 24, policies: ['touch'] })
        .then(({ policies }) => console.log(JSON.stringify(policies.map(({ ok, error }) => ({ ok, error })))));`,
    );
    expect(result).toEqual([{ ok: true, error: null }]);
  });

  it('has types for both kinds of module', () => {
    const source = `
      import { Shadow, type Policy, type ShadowStats } from 'lazyshadow';
      const policy: Policy = 'touch';
      const stats: ShadowStats = new Shadow({ policy, heapBytes: 2 ** 20 }).stats();
      const committed: number = stats.committedBytes;
      // @ts-expect-error a policy that is none
      new Shadow({ policy: 'greedy' });
      console.log(committed);
    `;
    writeFileSync(join(project, 'typed.mts'), source);
    writeFileSync(join(project, 'typed.cts'), source);
    const flags = [
      '--strict',
      '--noEmit',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
    ];
    const roots = ['--typeRoots', join(root, 'node_modules', '@types')];
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const checked = spawnSync(process.execPath, [tsc, ...flags, ...roots, 'typed.mts', 'typed.cts'], {
      cwd: project,
      encoding: 'utf8',
    });
    expect(checked.stdout).toBe('');
    expect(checked.status).toBe(0);
  });

  it('says what to do where there is no addon', () => {
    const home = join(project, 'node_modules', 'lazyshadow');
    for (const place of ['build', 'prebuilds']) rmSync(join(home, place), { recursive: true, force: true });
    const code = `
      import { diagnose, Reservation } from 'lazyshadow';
      let error;
      try { Reservation.reserve(1); } catch (thrown) { error = thrown; }
      console.log(JSON.stringify({ code: error.code, message: error.message, found: diagnose() }));
    `;
    const {
      code: errorCode,
      message,
      found,
    } = node('module', code) as {
      code: string;
      message: string;
      found: { name: string; advice: string }[];
    };
    expect(errorCode).toBe('ERR_ADDON_MISSING');
    expect(message).toContain('C++17 compiler');
    expect(found).toMatchObject([{ name: 'native addon', value: 'missing' }]);
  });
});
