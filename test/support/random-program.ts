/**
 * Random small programs for property tests: steps that the race runtime's protocol allows, made from a list of numbers so that
 * fast-check can shrink them.
 */
import type { Step } from './plain-checker.js';

/** Where the programs keep their data: a few granules of the arena, over the edge of a segment. */
export const ARENA = 0xc0_1000_0000 - 32;
const ARENA_BYTES = 64;
/** Where their locks are; some share a granule. */
const LOCKS = [0xc0_0000_0100, 0xc0_0000_0104, 0xc0_0000_0108, ARENA + 8, 0x7000_0000_0000];

export const MAIN = 1;

/** What a program is made for. */
export interface ProgramShape {
  readonly maxAlive: number;
  /** How often goroutines start and end, of 100. */
  readonly turnover: number;
  /** How many granules are accessed. */
  readonly granules: number;
}

/** Three choices for each step. */
export type Choice = readonly [number, number, number];

export function programOf(choices: readonly Choice[], shape: ProgramShape): Step[] {
  const steps: Step[] = [
    { op: 'map', address: 0xc0_0000_0000, size: 4096 },
    { op: 'map', address: ARENA, size: ARENA_BYTES },
  ];
  const alive = [MAIN];
  const ignoring = new Map<number, number>();
  let last = MAIN;
  for (const [what, who, where] of choices) {
    const goroutine = alive[who % alive.length] ?? MAIN;
    const lock = LOCKS[where % LOCKS.length] ?? ARENA;
    const kind = what % 100;
    if (kind < shape.turnover) {
      if (alive.length < shape.maxAlive && kind % 2 === 0) {
        last++;
        steps.push({ op: 'start', goroutine: where % 17 === 0 ? 0 : goroutine, child: last });
        alive.push(last);
      } else if (goroutine !== MAIN) {
        if (where % 2 === 0) steps.push({ op: 'releaseMerge', goroutine, address: lock });
        steps.push({ op: 'end', goroutine });
        alive.splice(alive.indexOf(goroutine), 1);
      }
      continue;
    }
    const address = ARENA + (where % (shape.granules * 8));
    const extent = Math.floor(where / 64);
    // Some ranges have several whole granules, which lie on both sides of a segment's edge.
    const size = 1 + (extent % (extent % 3 === 0 ? 40 : 12));
    const wide = extent % 2 === 0 ? 4 : 8;
    const aligned = address - (address % wide);
    const choice = Math.floor(what / 100) % 40;
    if (choice < 8) steps.push({ op: 'read', goroutine, address, size });
    else if (choice < 16) steps.push({ op: 'write', goroutine, address, size });
    else if (choice < 18) steps.push({ op: 'load', goroutine, address: aligned, size: wide });
    else if (choice < 20) steps.push({ op: 'store', goroutine, address: aligned, size: wide });
    else if (choice < 22) steps.push({ op: 'update', goroutine, address: aligned, size: wide });
    else if (choice < 23) steps.push({ op: 'failedSwap', goroutine, address: aligned, size: wide });
    else if (choice < 27) steps.push({ op: 'acquire', goroutine, address: lock });
    else if (choice < 30) steps.push({ op: 'release', goroutine, address: lock });
    else if (choice < 32) steps.push({ op: 'releaseMerge', goroutine, address: lock });
    else if (choice < 34) steps.push({ op: 'releaseAcquire', goroutine, address: lock });
    else if (choice < 35) steps.push({ op: 'malloc', address, size });
    else if (choice < 36) steps.push({ op: 'free', address: lock - (where % 3), size: 5 });
    else if (choice < 37) steps.push({ op: 'fingo', goroutine });
    else if (choice < 38) {
      ignoring.set(goroutine, (ignoring.get(goroutine) ?? 0) + 1);
      steps.push({ op: 'ignoreBegin', goroutine });
    } else if ((ignoring.get(goroutine) ?? 0) > 0) {
      ignoring.set(goroutine, (ignoring.get(goroutine) ?? 0) - 1);
      steps.push({ op: 'ignoreEnd', goroutine });
    }
  }
  return steps;
}
