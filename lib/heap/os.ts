/**
 * The operating system's memory as lib/native gives it: the one place where the heap meets the layer below.
 */
import { addon } from '../native/addon.js';
import { guarded } from '../native/failures.js';
import { reservePrivately } from '../native/reservation.js';
import { newWindows } from '../native/system.js';
import type { OsMemory } from './sys.js';

/** Real memory. @throws LazyShadowError ERR_ADDON_MISSING */
export function nativeMemory(): OsMemory {
  const { pageSizeBytes, allocationGranularityBytes } = addon().geometry();
  return {
    pageSizeBytes,
    allocationGranularityBytes,
    reserve: reservePrivately,
    newWindows: () => {
      const windows = newWindows();
      return {
        open: (address, sizeBytes) => guarded('openWindow', () => windows.open(address, sizeBytes)),
        close: () => windows.close(),
      };
    },
  };
}
