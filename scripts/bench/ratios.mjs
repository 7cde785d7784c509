// The ratios to the native runtime that `npm run bench -- --record` wrote, one set for each kind of machine.
//
// The native runtime is started anew for each recording and pays for its pages; we have ours from the replay before. So the
// ratios of two machines differ by what a first write to a page costs there: 1.4 to 2.6 µs with page tables of the machine's
// own, 16 where a host keeps them, and up to four times the ratio. That cost is what a kind is known by.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './recordings.mjs';

const RATIOS = join(root, 'scripts/bench/ratios.json');
/** Within this factor two machines are of one kind: between the two that there are lies a factor of twelve. */
const ALIKE = 3;

const read = () => JSON.parse(readFileSync(RATIOS, 'utf8'));
const isAlike = (a, b) => Math.max(a, b) < ALIKE * Math.min(a, b);

/**
 * What a machine is held to: its own kind's ratios, or, if it is of none or of several, the least of all.
 * @param firstTouchNs what the first write to a page costs on it
 * @returns `ratios` by recording, and `of`: whose they are, in words
 */
export function ratiosHere(firstTouchNs) {
  const kinds = read();
  const alike = kinds.filter((kind) => isAlike(kind.firstTouchNs, firstTouchNs));
  if (alike.length === 1)
    return { ratios: alike[0].ratios, of: `a machine where it takes ${alike[0].firstTouchNs}` };
  const names = Object.keys(kinds[0].ratios);
  const least = (name) => Math.min(...kinds.map(({ ratios }) => ratios[name]));
  return {
    ratios: Object.fromEntries(names.map((name) => [name, least(name)])),
    of: 'no one kind of machine, so held to the least ratio of any',
  };
}

/** Writes down this machine's ratios, in place of those of its kind. */
export function recordRatios(firstTouchNs, ratios) {
  const rounded = Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toFixed(3))]);
  const others = read().filter((kind) => !isAlike(kind.firstTouchNs, firstTouchNs));
  const kinds = [...others, { firstTouchNs, ratios: Object.fromEntries(rounded) }];
  kinds.sort((a, b) => a.firstTouchNs - b.firstTouchNs);
  writeFileSync(RATIOS, `${JSON.stringify(kinds, undefined, 2)}\n`);
}
