// Compiles lib/ twice: ES modules (dist/esm, with the command line) and CommonJS (dist/cjs, the library alone).
// A package.json in each tells Node which is which. Named numbers are written out (inline-constants.mjs). What is used of
// the plotting library is put into the one file that names it, so that nobody has to install all of it.
import { appendFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { build } from 'vite';
import { inlineConstants } from './inline-constants.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

rmSync(`${root}/dist`, { recursive: true, force: true });
for (const [kind, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs'],
]) {
  compile(`${root}/tsconfig.${kind}.json`);
  mkdirSync(`${root}/dist/${kind}`, { recursive: true });
  writeFileSync(`${root}/dist/${kind}/package.json`, `${JSON.stringify({ type })}\n`);
}
chmodSync(`${root}/dist/esm/cli/main.js`, 0o755);
// The command line is an ES module, as most of its packages are; by require it is loaded when it is run.
writeFileSync(
  `${root}/dist/cjs/cli.js`,
  "exports.run = async (args) => (await import('../esm/cli/main.js')).run(args);\n",
);
writeFileSync(
  `${root}/dist/cjs/cli.d.ts`,
  '/** Runs one command; returns the exit code. */\nexport declare function run(args: readonly string[]): Promise<number>;\n',
);
await bundlePlottingLibrary(`${root}/dist/esm/report`);

/** What tsc -p does, with the constants inlined. Ends the process at the first error. */
function compile(configFile) {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (problem) => stop([problem]) };
  const config = ts.getParsedCommandLineOfConfigFile(configFile, {}, host);
  const program = ts.createProgram(config.fileNames, config.options);
  const problems = [...config.errors, ...ts.getPreEmitDiagnostics(program)];
  if (problems.length > 0) stop(problems);
  const { diagnostics } = program.emit(undefined, undefined, undefined, false, {
    before: [inlineConstants(program)],
  });
  if (diagnostics.length > 0) stop(diagnostics);
}

/** Replaces the imports in echarts.js by what they import, with the licences of that beside it. */
async function bundlePlottingLibrary(directory) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    define: { 'process.env.NODE_ENV': '"production"' },
    ssr: { noExternal: true },
    build: {
      ssr: `${directory}/echarts.js`,
      outDir: directory,
      emptyOutDir: false,
      copyPublicDir: false,
      minify: true,
      license: { fileName: 'echarts.LICENSE.md' },
    },
  });
  // The Apache licence asks for it.
  const notice = readFileSync(`${root}/node_modules/echarts/NOTICE`, 'utf8');
  appendFileSync(`${directory}/echarts.LICENSE.md`, `\n## NOTICE of echarts\n\n${notice}`);
  rmSync(`${directory}/echarts.js.map`, { force: true });
}

function stop(problems) {
  const host = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => root,
    getNewLine: () => '\n',
  };
  console.error(ts.formatDiagnosticsWithColorAndContext(problems, host));
  process.exit(1);
}
