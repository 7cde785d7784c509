// Checks that imports go one way: cli → report → measure → trace → race → heap → shadow → native (docs/overview.md).
// lib/index.ts, the public face, may import every layer but the command line and its reports. Exits 1 and names each offender.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From the top down: a layer may import itself and whatever comes after it. */
const LAYERS = ['cli', 'report', 'measure', 'trace', 'race', 'heap', 'shadow', 'native'];
/** What the library must load without: only these layers, which lib/index.ts does not reach, may import them. */
const LAYERS_OF_PACKAGE = {
  commander: ['cli'],
  'cli-table3': ['cli'],
  'cli-progress': ['cli'],
  'log-update': ['cli'],
  picocolors: ['cli'],
  '@bomb.sh/tab': ['cli'],
  'pretty-bytes': ['cli', 'report'],
  echarts: ['report'],
};

const lib = fileURLToPath(new URL('../lib', import.meta.url));
const layerOf = (file) => relative(lib, file).split(/[\\/]/)[0];
const IMPORT = /\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g;

const offenders = [];
for (const entry of readdirSync(lib, { recursive: true, encoding: 'utf8' })) {
  if (!entry.endsWith('.ts')) continue;
  const file = join(lib, entry);
  const from = layerOf(file);
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (!specifier.startsWith('.')) {
      const name = specifier.match(/^(?:@[^/]+\/)?[^/]+/)[0];
      if (LAYERS_OF_PACKAGE[name]?.includes(from) === false)
        offenders.push(`lib/${entry}: ${specifier} is for ${LAYERS_OF_PACKAGE[name]} only`);
      continue;
    }
    const to = layerOf(resolve(dirname(file), specifier));
    const upward =
      from === 'index.ts'
        ? to === 'cli' || to === 'report'
        : to === 'index.ts' || LAYERS.indexOf(to) < LAYERS.indexOf(from);
    if (upward || (!LAYERS.includes(to) && to !== 'index.js'))
      offenders.push(`lib/${entry}: imports upwards from ${specifier}`);
  }
}
for (const offender of offenders) console.error(offender);
if (offenders.length > 0) process.exit(1);
