/**
 * What scripts/faults.mjs was asked for, and where it wants to know what came of it.
 */
import { appendFileSync } from 'node:fs';

/** Chooses what random tests do. */
export const SEED = Number(process.env['LAZYSHADOW_FAULTS_SEED'] ?? 1);

/** How long each random part goes on; undefined: the short form, which has a number of steps instead. */
export const MINUTES: number | undefined =
  process.env['LAZYSHADOW_FAULTS_MINUTES'] === undefined
    ? undefined
    : Number(process.env['LAZYSHADOW_FAULTS_MINUTES']);

/** For tests that go on for so long, and what they do to end. */
export const TIMEOUT_MS = ((MINUTES ?? 0) + 10) * 60_000;

/** How to have the same again. */
export function repeatWith(seed: number, part: string): string {
  return `repeat with: npm run test:faults -- --seed ${seed} ${part}`;
}

/** What is counted. */
export type Figure =
  | 'calls'
  | 'refusals'
  | 'faults injected'
  | 'damaged files read'
  | 'programs killed'
  | 'crashes'
  | 'inconsistencies';

/** Adds to a figure of this run. */
export function count(figure: Figure, number: number): void {
  const file = process.env['LAZYSHADOW_FAULTS_FIGURES'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ figure, number })}\n`);
}

/** Gives seeds, each a run's: the short form's number of them, or until time is up. */
export function* seeds(shortForm: number): Generator<number> {
  const end = MINUTES === undefined ? undefined : Date.now() + MINUTES * 60_000;
  for (let i = 0; end === undefined ? i < shortForm : Date.now() < end; i++) yield SEED + i;
}
