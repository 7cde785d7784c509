/**
 * One look at a shadow and the process that holds it, as the operating system counts them.
 */

import { processMemory } from '../native/system.js';
import type { Shadow } from '../shadow/shadow.js';
import type { GoHeapSample } from './workload.js';

/** All sizes in bytes. */
export interface Sample {
  /** Milliseconds since the workload began. */
  readonly atMs: number;
  /** Application memory in the layout's heap range whose shadow is mapped. */
  readonly heapBytes: number;
  /** Address space set aside for shadow and metainfo. */
  readonly reservedBytes: number;
  /** What the policy asked the system to commit of it. */
  readonly committedBytes: number;
  /** What the system itself counts as committed there. */
  readonly osCommittedBytes: number;
  /** What of it is in physical memory. */
  readonly residentBytes: number;
  /** Address space of the whole process: VIRT. */
  readonly processVirtualBytes: number;
  /** What of it is in physical memory: RSS. */
  readonly processResidentBytes: number;
  /** What it is charged against the commit limit; null on macOS. */
  readonly processCommitBytes: number | null;
  /** What of `committedBytes` joins pieces for which mappings ran short (vm.max_map_count); absent while nothing does. */
  readonly mergedBytes?: number;
  /** What the Go heap says of itself, in workloads that run on one; absent in the others. */
  readonly goHeap?: GoHeapSample;
}

/** Takes a sample. Costs milliseconds: the system is asked for its map of the process. */
export function takeSample(
  shadow: Shadow | undefined,
  startedAtMs: number,
  goHeap: GoHeapSample | undefined,
): Sample {
  const atMs = Math.round((performance.now() - startedAtMs) * 1000) / 1000;
  const stats = shadow?.stats();
  const memory = processMemory();
  return {
    atMs,
    heapBytes: shadow ? mappedHeapBytes(shadow) : 0,
    reservedBytes: stats?.reservedBytes ?? 0,
    committedBytes: stats?.committedBytes ?? 0,
    osCommittedBytes: stats?.osCommittedBytes ?? 0,
    residentBytes: stats?.residentBytes ?? 0,
    processVirtualBytes: memory.virtualBytes,
    processResidentBytes: memory.residentBytes,
    processCommitBytes: memory.commitBytes,
    ...(stats && stats.mergedBytes > 0 && { mergedBytes: stats.mergedBytes }),
    ...(goHeap && { goHeap }),
  };
}

/** The heap is the last of a layout's application ranges. */
function mappedHeapBytes(shadow: Shadow): number {
  const heap = shadow.layout.application.at(-1);
  return heap ? shadow.mappedBytes(heap.start, heap.end - heap.start) : 0;
}
