/**
 * What a caller can reach from the public objects: no typed array or buffer, because those that lie over shadow and
 * heap span memory that is not committed, and merely printing one would end the process.
 */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createRaceRuntime, Heap, Race, Reservation, Shadow, shadowHooks } from '../lib/index.js';
import { HEAP_SIZE } from './support/sizes.js';

/** The paths by which own properties lead to a buffer. */
function buffersWithin(root: object): string[] {
  const found: string[] = [];
  const seen = new Set<object>();
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      found.push(path);
      return;
    }
    for (const key of Reflect.ownKeys(value)) {
      walk((value as Record<PropertyKey, unknown>)[key], `${path}.${String(key)}`);
    }
  };
  walk(root, root.constructor.name);
  return found;
}

const makers: Record<string, () => object> = {
  Reservation() {
    const reservation = Reservation.reserve(2 ** 30);
    reservation.commit(reservation.address, 1);
    reservation.bytes(reservation.address, 1);
    return reservation;
  },
  Shadow() {
    const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
    shadow.mapShadow(0xc000000000, 65536);
    return shadow;
  },
  Heap() {
    const heap = new Heap({ scavenger: false, maxMemBytes: 2 ** 26 });
    heap.bytes(heap.malloc(100), 100);
    return heap;
  },
  'heap with shadow hooks'() {
    return new Heap({ scavenger: false, maxMemBytes: 2 ** 26, race: shadowHooks(new Shadow(HEAP_SIZE)) });
  },
  Race() {
    const race = new Race({ shadow: new Shadow(HEAP_SIZE) });
    race.initialize(1);
    race.mapShadow(0xc000000000, 65536);
    race.write(1, 0xc000000000, 1);
    return race;
  },
  'race runtime'() {
    const race = createRaceRuntime({ shadow: new Shadow(HEAP_SIZE) });
    race.raceinit(1, 0x1000, 4096);
    race.racewrite(1, 0x1000, 1);
    return race;
  },
};

describe.each(Object.keys(makers))('%s', (name) => {
  it('lets nobody reach its windows, and can be printed', () => {
    const made = makers[name]?.() ?? {};
    expect(buffersWithin(made)).toEqual([]);
    expect(inspect(made, { showHidden: true, depth: 6 })).not.toContain('Array(');
  });
});
