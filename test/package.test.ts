/**
 * The package as a stranger gets it: packed, unpacked into an empty project, imported, required, typed, run.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAddon, emptyProject, pack, type Packed, removeProject, ROOT } from './support/stranger.js';

let project: string;
let packed: Packed;

/** Packages that the library itself needs; the rest are the command line's. */
const LIBRARY_PACKAGES = ['bindings', 'file-uri-to-path'];

beforeAll(() => {
  project = emptyProject();
  packed = pack(project);
  const home = join(project, 'node_modules', 'lazyshadow');
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', packed.tarball, '-C', home, '--strip-components=1']);
  addAddon(home);
  for (const name of LIBRARY_PACKAGES) {
    symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name), 'junction');
  }
});
afterAll(() => removeProject(project));

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
    const files = packed.files.map(({ path }) => path);
    for (const needed of [
      'LICENSE',
      'README.md',
      'data/heapgrow.trc.gz',
      'dist/esm/index.d.ts',
      'dist/cjs/index.js',
      'dist/esm/report/echarts.LICENSE.md',
      // For a platform that the package has no binary for, and for recording Go programs.
      'binding.gyp',
      'native/addon.cc',
      'native/recorder/recording.c',
    ])
      expect(files).toContain(needed);
    const known =
      /^(LICENSE|[A-Z]+\.md|package\.json|binding\.gyp|(dist|native|prebuilds|data|scripts\/examples)\/.*|docs\/[\w-]+\.(md|svg))$/;
    expect(files.filter((path) => !known.test(path))).toEqual([]);
    expect(files.filter((path) => /\.trc/.test(path))).toEqual(['data/heapgrow.trc.gz']);
    expect(files.filter((path) => /\.map$|_test\.|\.test\./.test(path))).toEqual([]);
  });

  it('holds all that its documents lead to', () => {
    const files = packed.files.map(({ path }) => path);
    const documents = files.filter((path) => path.endsWith('.md') && !path.startsWith('dist/'));
    expect(documents).toContain('docs/troubleshooting.md');
    const home = join(project, 'node_modules', 'lazyshadow');
    for (const document of documents) {
      const text = readFileSync(join(home, document), 'utf8');
      const links = [...text.matchAll(/\]\((?!https:)([^)#\s]+)/g)].map(([, link = '']) =>
        posix.join(dirname(document), link),
      );
      const broken = links.filter(
        (link) => !files.some((path) => path === link || path.startsWith(`${link}/`)),
      );
      expect(broken, document).toEqual([]);
    }
  });

  it('is small: two thirds of a megabyte, and what the binaries weigh', () => {
    // Packed files shrink to about a third; a binary of 200 KB is no more than that.
    const binaries = packed.files.filter(({ path }) => path.startsWith('prebuilds/'));
    const binaryBytes = binaries.reduce((sum, { size }) => sum + size, 0);
    expect(packed.sizeBytes - binaryBytes).toBeLessThan((2 / 3) * 1e6);
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
    const roots = ['--typeRoots', join(ROOT, 'node_modules', '@types')];
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const checked = spawnSync(process.execPath, [tsc, ...flags, ...roots, 'typed.mts', 'typed.cts'], {
      cwd: project,
      encoding: 'utf8',
    });
    expect(checked.stdout).toBe('');
    expect(checked.status).toBe(0);
  });

  it('has nothing wrong with its types or its manifest: arethetypeswrong, publint', () => {
    const tools = [
      // node10 is a resolution that TypeScript 6 warns of, and that knows no exports.
      ['@arethetypeswrong/cli/dist/index.js', packed.tarball, '--profile', 'node16', '--format', 'json'],
      ['publint/src/cli.js', 'run', packed.tarball, '--strict'],
    ];
    const [types, manifest] = tools.map(([tool = '', ...args]) =>
      spawnSync(process.execPath, [join(ROOT, 'node_modules', tool), ...args], { encoding: 'utf8' }),
    );
    const { problems } = JSON.parse(types?.stdout ?? '') as {
      problems: Record<string, { resolutionKind: string }[]>;
    };
    const counted = Object.values(problems).flat();
    expect(counted.filter(({ resolutionKind }) => resolutionKind !== 'node10')).toEqual([]);
    expect(types?.status).toBe(0);
    expect(manifest?.stdout).toContain('All good!');
    expect(manifest?.status).toBe(0);
  });

  it('has no any in what its types say', () => {
    const declared = packed.files.filter(({ path }) => /^dist\/(esm|cjs)\/.*\.d\.ts$/.test(path));
    expect(declared.length).toBeGreaterThan(100);
    for (const { path } of declared) {
      const text = readFileSync(join(project, 'node_modules', 'lazyshadow', path), 'utf8');
      // What is left when comments are gone.
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      expect(code.match(/[^\n]*\bany\b[^\n]*/g) ?? [], path).toEqual([]);
    }
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

describe('the reference', () => {
  it('documents every public symbol', () => {
    const typedoc = join(ROOT, 'node_modules', 'typedoc', 'bin', 'typedoc');
    const { stdout, stderr, status } = spawnSync(process.execPath, [typedoc, '--emit', 'none'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(stdout + stderr).not.toMatch(/warning|error/i);
    expect(status).toBe(0);
  });
});
