/**
 * All workloads that need no recording, by name.
 */

import { BUILT_IN_WORKLOAD_NAMES, builtInWorkload } from './built-in-workloads.js';
import { HEAP_WORKLOAD_NAMES, heapWorkload } from './heap-workloads.js';
import type { Workload } from './workload.js';

/** Names of the workloads: those that only map and touch shadow, then those that run on a Go heap. */
export const WORKLOAD_NAMES: readonly string[] = [...BUILT_IN_WORKLOAD_NAMES, ...HEAP_WORKLOAD_NAMES];

/**
 * The workload of a name, sized by the heap it ends, or peaks, at.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT
 */
export function namedWorkload(name: string, heapBytes: number): Workload {
  const onHeap = HEAP_WORKLOAD_NAMES.some((known) => known === name);
  return onHeap ? heapWorkload(name, heapBytes) : builtInWorkload(name, heapBytes);
}
