/**
 * What a heap tells a shadow when there is no detector between them: for measuring what shadow costs.
 */
import { type Shadow, windowsOf } from '../shadow/shadow.js';
import type { RaceHooks } from './race-hooks.js';

/** Hooks that map, clear and unmap shadow, and keep no cells. */
export function shadowHooks(shadow: Shadow): RaceHooks {
  const memory = windowsOf(shadow);
  return {
    raceenabled: true,
    racemapshadow: (address, sizeBytes) => shadow.mapShadow(address, sizeBytes),
    racemalloc: (address, sizeBytes) => memory.clearShadow(address, sizeBytes),
    racefree: () => {},
    raceunmapshadow: (address, sizeBytes) => shadow.unmapShadow(address, sizeBytes),
  };
}
