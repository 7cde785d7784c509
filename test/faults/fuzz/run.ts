/**
 * A run of random calls on one thread: actors in turn, and at the end of each batch everything against the models and
 * against the kernel.
 */
import { linux, mappings } from '../../support/proc.js';
import { Random } from '../../support/random.js';
import type { Actor, World } from './actor.js';
import { Calls } from './calls.js';
import { HeapActor } from './heaps.js';
import { RaceActor } from './races.js';
import { RecordingActor } from './recordings.js';
import { ReservationActor } from './reservations.js';
import { ShadowActor } from './shadows.js';
import { SharedActor, type SharedPlaces } from './shared.js';

/** Calls between two looks at everything. */
const BATCH_CALLS = 10_000;

export interface RunResult {
  readonly calls: number;
  readonly refused: number;
  /** What was not as it must be, with the calls before it; undefined if all was. */
  readonly failure: string | undefined;
}

/** What a thread is to do. */
export interface Orders {
  readonly seed: number;
  /** Calls to make. */
  readonly count: number;
  readonly thread: number;
  readonly shared: SharedPlaces;
}

/** Makes so many calls, chosen by the seed. */
export async function run({ seed, count, thread, shared }: Orders): Promise<RunResult> {
  const calls = new Calls();
  const world: World = { random: new Random(seed), calls, thread };
  const actors: readonly (readonly [number, Actor])[] = [
    [30, new ReservationActor(world)],
    [30, new ShadowActor(world)],
    [25, new HeapActor(world)],
    [25, new RaceActor(world)],
    [0.1, new RecordingActor(world)],
    [20, new SharedActor(world, shared)],
  ];
  try {
    for (let batch = 1; calls.count < count; batch++) {
      while (calls.count < batch * BATCH_CALLS) {
        const done = world.random.weighted(actors).step();
        if (done !== undefined) await done;
      }
      const kernel = linux ? mappings() : [];
      for (const [, actor] of actors) actor.verify(kernel);
    }
    for (const [, actor] of actors) actor.end();
    return { calls: calls.count, refused: calls.refused, failure: undefined };
  } catch (error) {
    const what = error instanceof Error ? `${error.stack}` : String(error);
    const failure = `${what}\nafter call ${calls.count}:\n  ${calls.last.join('\n  ')}`;
    return { calls: calls.count, refused: calls.refused, failure };
  }
}
