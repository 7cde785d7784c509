/**
 * What the operating system says of this process's memory and of the machine.
 */

import {
  addon,
  type Geometry,
  type NativeWindows,
  type ProcessMemory,
  type SystemCounters,
} from './addon.js';
import { guarded } from './failures.js';

export type { Geometry, ProcessMemory, SystemCounters } from './addon.js';

/** The machine as {@link systemMemory} tells of it. */
export interface SystemMemory extends SystemCounters {
  /** Unit of commit and decommit, in bytes. */
  readonly pageSizeBytes: number;
  /** Unit of the addresses at which reservations begin, in bytes: the page size on Unix, 64 KiB on Windows. */
  readonly allocationGranularityBytes: number;
}

/** What the platform's memory is made of. */
export function geometry(): Geometry {
  return addon().geometry();
}

/**
 * Memory of this process as the operating system counts it: from /proc on Linux, task_info on macOS,
 * GetProcessMemoryInfo on Windows. Takes milliseconds.
 * @throws LazyShadowError ERR_OS if it does not tell; ERR_ADDON_MISSING
 */
export function processMemory(): ProcessMemory {
  return guarded('processMemory', () => addon().processMemory());
}

/**
 * Page size, limits and counters of the machine and of this process's place in it.
 * @throws LazyShadowError ERR_OS if the system does not tell; ERR_ADDON_MISSING
 */
export function systemMemory(): SystemMemory {
  const { pageSizeBytes, allocationGranularityBytes } = geometry();
  return {
    pageSizeBytes,
    allocationGranularityBytes,
    ...guarded('systemMemory', () => addon().systemMemory()),
  };
}

/** The lowest address in the range at which this process has something mapped, or null. */
export function firstMapping(address: number, sizeBytes: number): number | null {
  return guarded('firstMapping', () => addon().firstMapping(address, sizeBytes));
}

/** A set of windows onto any addresses, for lib/ only: see {@link NativeWindows}. Never given to the public. */
export function newWindows(): NativeWindows {
  return new (addon().Windows)();
}
