/**
 * The operating system's memory as lib/native gives it: the one place where the heap meets the layer below.
 */
import { addon } from '../native/addon.js';
import { guarded } from '../native/failures.js';
import { Reservation } from '../native/reservation.js';
import type { OsMemory } from './sys.js';

/** Real memory. @throws LazyShadowError ERR_ADDON_MISSING */
export function nativeMemory(): OsMemory {
  const native = addon();
  const { pageSizeBytes, allocationGranularityBytes } = native.geometry();
  return {
    pageSizeBytes,
    allocationGranularityBytes,
    reserve: (sizeBytes, options) => Reservation.reserve(sizeBytes, options),
    openWindow: (address, sizeBytes) => guarded('openWindow', () => native.openWindow(address, sizeBytes)),
    closeWindow: (window) => native.closeWindow(window),
  };
}
