/**
 * `lazyshadow inspect FILE`: what a recording holds, as tables for a person or as one JSON object.
 */
import Table from 'cli-table3';
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { formatAddress } from '../../native/errors.js';
import { printable, printableJson } from '../../native/printable.js';
import { inspectTrace, type MappedRange, type TraceSummary } from '../../trace/inspect.js';
import { TraceReader } from '../../trace/reader.js';

/** Adds the command to the program. */
export function registerInspect(program: Command): void {
  program
    .command('inspect')
    .description('say what a recording holds: calls, goroutines, mapped ranges, bytes touched, top functions')
    .argument('<file>', 'a recording (.trc, or packed with gzip), or - for standard input')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  lazyshadow inspect x.trc.gz\n')
    .action(async (file: string, options: { json?: boolean }) => {
      const summary = await readSummary(file);
      process.stdout.write(options.json === true ? `${printableJson(summary)}\n` : formatSummary(summary));
    });
}

async function readSummary(file: string): Promise<TraceSummary> {
  const reader = await TraceReader.open(file);
  try {
    return await inspectTrace(reader);
  } finally {
    await reader.close();
  }
}

/** Mapped ranges that the table shows; JSON has all. */
const SHOWN_RANGES = 16;

const count = (value: number) => value.toLocaleString('en-US');
const size = (bytes: number) => prettyBytes(bytes, { binary: true });

/** The summary as text for a terminal, with a newline at the end. */
export function formatSummary(summary: TraceSummary): string {
  const { goroutines, heap, touched } = summary;
  const atLeast = touched.complete ? '' : 'at least ';
  const facts = plainTable([], ['left', 'left']);
  facts.push(
    ['recording', printable(summary.trace)],
    ['events', `${count(summary.events)}, with ${count(summary.pcs)} program counters`],
    [
      'goroutines',
      `${count(goroutines.started)} started, ${count(goroutines.ended)} ended, at most ${count(goroutines.mostAlive)} at once`,
    ],
    ['mapped', `${size(summary.mappedBytes)} in ${summary.mapped.length} ranges`],
    ['touched', `${atLeast}${size(touched.sizeBytes)} on ${count(touched.pages)} pages of 4 KiB`],
    [
      'heap',
      `${count(heap.mallocs)} blocks allocated (${size(heap.mallocBytes)}), ${count(heap.frees)} freed (${size(heap.freeBytes)})`,
    ],
  );

  const calls = plainTable(['call', 'count', 'of all'], ['left', 'right', 'right']);
  for (const { call, count: made } of summary.calls)
    calls.push([call, count(made), `${((100 * made) / summary.events).toFixed(1)} %`]);

  const ranges = plainTable(['mapped from', 'to', 'size'], ['left', 'left', 'right']);
  for (const range of summary.mapped.slice(0, SHOWN_RANGES)) ranges.push(rangeRow(range));
  const hidden = summary.mapped.length - SHOWN_RANGES;
  if (hidden > 0) ranges.push([`… and ${count(hidden)} more`, '', '']);

  const functions = plainTable(['function', 'events', 'file'], ['left', 'right', 'left']);
  for (const top of summary.topFunctions)
    functions.push([printable(top.function), count(top.events), printable(top.file)]);

  return [facts, calls, ranges, functions]
    .filter((table) => table.length > 0)
    .map((table) => `${table.toString()}\n`)
    .join('\n');
}

function rangeRow({ address, sizeBytes }: MappedRange): string[] {
  return [formatAddress(address), formatAddress(address + sizeBytes), size(sizeBytes)];
}

/** A table without colours, so that what is piped reads as what is shown. */
function plainTable(head: string[], colAligns: ('left' | 'right')[]): Table.Table {
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}
