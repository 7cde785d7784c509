/**
 * Reports as Go prints them, to the letter: editors and CI scripts parse this.
 */
import { formatAddress } from '../native/errors.js';
import { printable } from '../native/printable.js';
import {
  framesOf,
  type RaceLocation,
  type RaceReport,
  type ReportedAccess,
  type Symbolize,
  stripPathPrefix,
} from './report.js';

const RULE = '==================\n';

/** How a report is printed. */
export interface TextOptions {
  /** How a pc becomes frames. */
  readonly symbolize: Symbolize;
  /** GORACE's strip_path_prefix. */
  readonly stripPathPrefix?: string;
  /** Adds where the address lies, which Go's text does not have. */
  readonly withLocation?: boolean;
}

/** The report between its two rules, with a line feed at the end. */
export function formatReport(report: RaceReport, options: TextOptions): string {
  const { current, previous, location } = report;
  const parts = [accessText(current, true, options), accessText(previous, false, options)];
  for (const access of current.goroutine === previous.goroutine ? [current] : [current, previous]) {
    if (!access.main) parts.push(creationText(access, options));
  }
  if (options.withLocation === true && location !== null) parts.push(locationText(location, options));
  return `${RULE}WARNING: DATA RACE\n${parts.join('\n')}${RULE}`;
}

/** What Go's runtime prints when a program that raced ends. */
export function formatSummary(reportCount: number): string {
  return `Found ${reportCount} data race(s)\n`;
}

function accessText(access: ReportedAccess, first: boolean, options: TextOptions): string {
  const kind = access.kind === 'write' ? 'Write' : 'Read';
  const what = first ? kind : `Previous ${access.kind}`;
  const who = access.main ? 'main goroutine' : `goroutine ${access.textNumber}`;
  return `${what} at ${formatAddress(access.address)} by ${who}:\n${stackText(access.stack, options)}`;
}

function creationText(access: ReportedAccess, options: TextOptions): string {
  const state = access.running ? 'running' : 'finished';
  return `Goroutine ${access.textNumber} (${state}) created at:\n${stackText(access.createdAt, options)}`;
}

function stackText(pcs: readonly number[] | null, options: TextOptions): string {
  if (pcs === null || pcs.length === 0) return '  [failed to restore the stack]\n';
  return framesOf(pcs, options.symbolize)
    .map(({ function: name, file, line, offset }) => {
      const path = printable(stripPathPrefix(file, options.stripPathPrefix ?? ''));
      return `  ${printable(name)}()\n      ${path}:${line} +0x${offset.toString(16)}\n`;
    })
    .join('');
}

function locationText(location: RaceLocation, options: TextOptions): string {
  const { address, sizeBytes, offset } = location;
  const where = `${formatAddress(address)}, ${sizeBytes} bytes; the race is at offset ${offset}`;
  if (location.kind === 'region') return `Location is the ${location.name} segment at ${where}\n`;
  const { allocated } = location;
  if (allocated === null) return `Location is the heap object at ${where}\n`;
  return `Location is the heap object at ${where}, allocated by goroutine ${allocated.textNumber}:\n${stackText(allocated.stack, options)}`;
}
