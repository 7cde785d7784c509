/**
 * Programs that need a process of their own, written in TypeScript like all else: each is bundled to one file over the
 * built library in dist/, since Node 20 runs no TypeScript and a child that loads a bundler takes its time.
 */
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lib = resolve(root, 'lib');

/** Bundles test/faults/`entry`.ts; gives the path of what node runs. */
export async function program(entry: string): Promise<string> {
  const name = entry.replaceAll('/', '-');
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: resolve(root, 'test', 'faults', `${entry}.ts`),
      outDir: resolve(root, 'build', 'faults'),
      emptyOutDir: false,
      target: 'node20',
      rolldownOptions: { output: { entryFileNames: `${name}.mjs` } },
    },
    plugins: [
      {
        name: 'the built library in place of its source',
        enforce: 'pre',
        resolveId(id, importer) {
          if (importer === undefined || !id.startsWith('.')) return null;
          const file = relative(lib, resolve(dirname(importer), id));
          if (file === '..' || file.startsWith(`..${sep}`)) return null;
          return { id: pathToFileURL(resolve(root, 'dist', 'esm', file)).href, external: true };
        },
      },
    ],
  });
  return resolve(root, 'build', 'faults', `${name}.mjs`);
}
