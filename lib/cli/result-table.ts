/**
 * The result of a measurement as a table.
 */

import { basename } from 'node:path';
import { printable } from '../native/printable.js';
import type { PolicyResult } from '../measure/experiment.js';
import type { MeasureResult } from '../measure/measure.js';
import type { Sample } from '../measure/sample.js';
import { humanBytes } from '../report/bytes.js';
import { mergedNotes } from '../report/notes.js';
import { plainTable } from './table.js';
import type { Colours } from './terminal.js';

/** Columns of workloads that run on a Go heap. */
const HEAP_HEAD = ['HeapSys', 'HeapInuse', 'HeapReleased'];
const HEAD = [
  'policy',
  'reserved',
  'committed',
  'OS-counted',
  'resident',
  'committed/resident',
  'VIRT',
  'RSS',
  'commit charge',
];

/** The result as text for a terminal, with a newline at the end. */
export function formatResult(result: MeasureResult, colours: Colours): string {
  const heap = Math.max(...result.policies.map(({ final }) => final.heapBytes));
  const subject = result.trace === null ? `${result.workload} workload` : printable(basename(result.trace));
  const rows = result.policies.map(({ policy, ok, final }) => [
    ok ? colours.bold(policy) : colours.red(`${policy} (failed)`),
    humanBytes(final.reservedBytes),
    humanBytes(final.committedBytes),
    humanBytes(final.osCommittedBytes),
    humanBytes(final.residentBytes),
    final.residentBytes > 0 ? (final.committedBytes / final.residentBytes).toFixed(2) : '–',
    humanBytes(final.processVirtualBytes),
    humanBytes(final.processResidentBytes),
    humanBytes(final.processCommitBytes),
    ...heapColumns(final),
  ]);
  const onHeap = result.policies.some(({ final }) => final.goHeap !== undefined);
  const head = onHeap ? [...HEAD, ...HEAP_HEAD] : HEAD;
  const lines = [
    `${subject}: ${humanBytes(heap)} of heap, layout ${result.layout}, pages of ${humanBytes(result.pageSizeBytes)}`,
    '',
    plainTable(head.map(colours.dim), rows),
    '',
    `Shadow: reserved to resident. Process: VIRT, RSS and commit charge.${onHeap ? ' Go heap: the rest.' : ''}`,
    ...mergedNotes(result.policies),
    ...result.policies.flatMap((policy) => failure(policy, colours)),
  ];
  return `${lines.join('\n')}\n`;
}

function heapColumns({ goHeap }: Sample): string[] {
  if (goHeap === undefined) return [];
  return [goHeap.heapSysBytes, goHeap.heapInuseBytes, goHeap.heapReleasedBytes].map(humanBytes);
}

function failure({ policy, error }: PolicyResult, colours: Colours): string[] {
  return error === null ? [] : ['', colours.red(`${policy} failed: ${error.code}`), `  ${error.message}`];
}
