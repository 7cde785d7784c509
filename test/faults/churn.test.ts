/**
 * A heap in use for long (test/faults/churn/main.ts): 30 minutes in the long form, forty rounds in the short one. What the
 * process needs stays level.
 */
import { spawnSync } from 'node:child_process';
import { beforeAll, expect, it } from 'vitest';
import { growthOf } from '../support/trend.js';
import type { Sample } from './churn/main.js';
import { program } from './program.js';
import { count, MINUTES, repeatWith, SEED, TIMEOUT_MS } from './settings.js';

const MiB = 2 ** 20;

/** What may come and go, over a run of whatever length: less than a hundredth of what a round takes and gives back. */
const LEVEL: Record<Exclude<keyof Sample, 'calls'>, number> = {
  residentBytes: 2 * MiB,
  commitBytes: 2 * MiB,
  mappings: 20,
  v8HeapBytes: MiB / 4,
};

let path: string;
beforeAll(async () => {
  path = await program('churn/main');
});

/** What grew by more than it may; V8 and the heap need a third of the rounds to settle. */
function growing(seconds: number, leak = 'nothing'): string[] {
  const args = ['--expose-gc', path, SEED, seconds, leak].map(String);
  const outcome = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (outcome.status !== 0)
    throw new Error(`ended with ${outcome.status ?? outcome.signal}: ${outcome.stderr}`);
  const samples = outcome.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);
  if (leak === 'nothing') count('calls', samples.at(-1)?.calls ?? 0);
  const settled = thinned(samples.slice(Math.ceil(samples.length / 3)));
  return (Object.keys(LEVEL) as (keyof typeof LEVEL)[]).filter(
    (name) => growthOf(settled.map((each) => each[name])) > LEVEL[name],
  );
}

/** At most 400 of the samples, at even distances: 30 minutes have ten thousand, of which all pairs are too many. */
function thinned(samples: readonly Sample[]): Sample[] {
  const step = Math.ceil(samples.length / 400);
  return samples.filter((_, at) => at % step === 0);
}

it(
  'churn with scavenging leaves memory, commit, mappings and V8’s heap level',
  () => {
    const found = growing((MINUTES ?? 0) * 60);
    if (found.length > 0) count('inconsistencies', 1);
    expect(found, repeatWith(SEED, 'churn')).toEqual([]);
  },
  TIMEOUT_MS,
);

it.each([
  ['memory', ['residentBytes', 'commitBytes']],
  ['mappings', ['mappings']],
  ['objects', ['v8HeapBytes']],
])('a leak of %s would be seen', (leak, seen) => {
  expect(growing(0, leak)).toEqual(expect.arrayContaining(seen));
});
