// Packs a directory of recordings into the test data that the repository keeps, and the recording that the package ships.
//
//     node scripts/pack-recordings.mjs DIRECTORY
//
// DIRECTORY holds whole programs (manifest.json, NAME.trc) and Go's race tests (race/manifest.json, race/traces/NAME.trc),
// unpacked. What is made of it:
//
//     data/heapgrow.trc.gz               the default recording of `lazyshadow measure`, so gzip: the reader must take it
//     test/data/programs/NAME.trc.br     the other programs
//     test/data/programs.json            their manifest; `trace` is the file, from the repository's root
//     test/data/race-tests.trcs.br       all the race tests, one after the other in the manifest's order
//     test/data/race-tests.json          their manifest; `sizeBytes` says where each ends
//
// Brotli, as Node has it and its window of 16 MiB spans several race tests, which share nearly everything: 612 MB become
// 2.3 MB in a few seconds, and every one of them is unpacked in the memory of one. Quality 9: 10 saves an eighth
// and takes ten times as long.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';

/** The program whose recording the package ships. */
const SHIPPED = 'heapgrow';

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error('usage: node scripts/pack-recordings.mjs DIRECTORY');
  process.exit(2);
}
const root = fileURLToPath(new URL('..', import.meta.url));
const brotli = () =>
  createBrotliCompress({
    params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 },
  });
const readRows = async (file) => JSON.parse(await readFile(join(directory, file), 'utf8'));
const writeRows = (file, rows) => writeFile(join(root, file), `${JSON.stringify(rows, undefined, 1)}\n`);

async function packPrograms() {
  const rows = await readRows('manifest.json');
  for (const row of rows) {
    const file = `${row.name}.trc`;
    const shipped = row.name === SHIPPED;
    row.trace = shipped ? `data/${file}.gz` : `test/data/programs/${file}.br`;
    const packer = shipped ? createGzip({ level: 9 }) : brotli();
    await pipeline(createReadStream(join(directory, file)), packer, createWriteStream(join(root, row.trace)));
  }
  await writeRows('test/data/programs.json', rows);
}

async function packRaceTests() {
  const rows = await readRows('race/manifest.json');
  for (const row of rows) {
    row.file = join(directory, 'race/traces', basename(row.trace));
    row.sizeBytes = (await stat(row.file)).size;
  }
  await pipeline(
    async function* () {
      for (const row of rows) yield* createReadStream(row.file);
    },
    brotli(),
    createWriteStream(join(root, 'test/data/race-tests.trcs.br')),
  );
  await writeRows(
    'test/data/race-tests.json',
    rows.map(({ trace, file, ...row }) => row),
  );
}

await mkdir(join(root, 'data'), { recursive: true });
await mkdir(join(root, 'test/data/programs'), { recursive: true });
await packPrograms();
await packRaceTests();
