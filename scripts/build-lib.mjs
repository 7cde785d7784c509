// Compiles lib/ twice: ES modules (dist/esm, with the command line) and CommonJS (dist/cjs, the library alone).
// A package.json in each tells Node which is which.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const tsc = require.resolve('typescript/bin/tsc');

rmSync(`${root}/dist`, { recursive: true, force: true });
for (const [kind, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs'],
]) {
  execFileSync(process.execPath, [tsc, '-p', `${root}/tsconfig.${kind}.json`], { stdio: 'inherit' });
  mkdirSync(`${root}/dist/${kind}`, { recursive: true });
  writeFileSync(`${root}/dist/${kind}/package.json`, `${JSON.stringify({ type })}\n`);
}
chmodSync(`${root}/dist/esm/cli/main.js`, 0o755);
