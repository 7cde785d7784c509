/**
 * The recordings that tests run on, with the exact answer for each: eight whole Go programs, and 259 tests of Go's own
 * race-detector suite. scripts/pack-recordings.mjs packed them.
 *
 * Invariant: one race test is in memory at a time, however many are asked for; the next is unpacked when it is asked for.
 */
import { createReadStream, readFileSync } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, createBrotliDecompress, createGunzip, gunzipSync } from 'node:zlib';

/** What is known about a recording. */
export interface ManifestRow {
  readonly name: string;
  readonly events: number;
  readonly goroutines: number;
  /** Whether the program races, apart from the one race that every race test has while its package is initialised. */
  readonly race: boolean;
  /** Every byte address on which two unordered conflicting accesses overlap, ascending: `0xc00001a3c8`. */
  readonly racyAddresses: readonly string[];
  /** The pairs of accesses involved, each side `function file line offset`, for all inlined frames. */
  readonly racyFrames: readonly (readonly [string, string])[];
  /** How many reports Go's own detector printed in that very run. */
  readonly goReports: number;
  /** Those reports; null where they were not kept. */
  readonly goReportText: readonly string[] | null;
}

/** A whole program. */
export interface ProgramRow extends ManifestRow {
  /** What the program does. */
  readonly what: string;
  /** The packed recording, from the repository's root. */
  readonly trace: string;
  /** The MapShadow calls: address and size in hexadecimal. */
  readonly mapShadow: readonly (readonly [string, string])[];
}

/** A test of Go's race-detector suite. */
export interface RaceTestRow extends ManifestRow {
  readonly source: string;
  /** Length of the recording, unpacked. */
  readonly sizeBytes: number;
}

const root = new URL('../../', import.meta.url);

/** A path from the repository's root, made absolute. */
function repositoryPath(path: string): string {
  return fileURLToPath(new URL(path, root));
}

/** The recording that the package ships: the path of `data/heapgrow.trc.gz`. */
export const shippedRecording = repositoryPath('data/heapgrow.trc.gz');

/** The eight programs, smallest recording first. */
export function programs(): ProgramRow[] {
  const rows: ProgramRow[] = JSON.parse(readFileSync(repositoryPath('test/data/programs.json'), 'utf8'));
  return rows.sort((a, b) => a.events - b.events);
}

/** The program of that name. */
export function program(name: string): ProgramRow {
  const row = programs().find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no program is called ${name}`);
  return row;
}

/** A program's recording, unpacked: from 130 KB (racycounter) to 198 MB (mergesort). */
export function programBytes(row: ProgramRow): Uint8Array {
  const packed = readFileSync(repositoryPath(row.trace));
  return row.trace.endsWith('.gz') ? gunzipSync(packed) : brotliDecompressSync(packed);
}

/** A program's recording as a stream, unpacked as it is read. */
export function programStream(row: ProgramRow): Readable {
  const unpacker = row.trace.endsWith('.gz')
    ? createGunzip()
    : createBrotliDecompress({ chunkSize: 1 << 18 });
  // A failure destroys the unpacker, and its reader learns of it there.
  return pipeline(createReadStream(repositoryPath(row.trace)), unpacker, () => undefined);
}

/** The rows of the race tests, in the order of {@link raceTests}. */
export function raceTestRows(): RaceTestRow[] {
  return JSON.parse(readFileSync(repositoryPath('test/data/race-tests.json'), 'utf8'));
}

/** All the race tests, each with its recording. */
export async function* raceTests(): AsyncGenerator<{ row: RaceTestRow; bytes: Uint8Array }> {
  const packed = createReadStream(repositoryPath('test/data/race-tests.trcs.br'));
  const stream = pipeline(packed, createBrotliDecompress({ chunkSize: 1 << 20 }), () => undefined);
  const rows = raceTestRows().values();
  let row = rows.next().value;
  let bytes = new Uint8Array(row?.sizeBytes ?? 0);
  let filled = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    for (let rest = chunk; rest.length > 0;) {
      if (row === undefined) throw new Error('the packed race tests are longer than their manifest says');
      const part = rest.subarray(0, row.sizeBytes - filled);
      bytes.set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
      if (filled < row.sizeBytes) break;
      yield { row, bytes };
      row = rows.next().value;
      bytes = new Uint8Array(row?.sizeBytes ?? 0);
      filled = 0;
    }
  }
  if (row !== undefined) throw new Error(`the packed race tests end in ${row.name}`);
}
