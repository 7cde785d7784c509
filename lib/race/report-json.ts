/**
 * Reports as JSON objects.
 */
import {
  framesOf,
  type RaceLocation,
  type RaceReport,
  type ReportedAccess,
  type Symbolize,
  stripPathPrefix,
} from './report.js';

/** One function of a stack. */
export interface JsonFrame {
  /** As Go names it. */
  readonly function: string;
  /** Path, less the prefix that was to be stripped. */
  readonly file: string;
  /** From 1; 0 if unknown. */
  readonly line: number;
}

/** One of the two accesses. */
export interface JsonAccess {
  /** What it did. */
  readonly kind: 'read' | 'write';
  /** Whether it was an atomic operation. */
  readonly atomic: boolean;
  /** By the recording's, or the caller's, number. */
  readonly goroutine: number;
  /** Innermost first; empty when the stack is no longer known. */
  readonly stack: readonly JsonFrame[];
  /** The stack of the go statement; empty for the main goroutine. */
  readonly goroutineCreatedAt: readonly JsonFrame[];
}

/** Who allocated a block. */
export interface JsonAllocation {
  /** By the recording's, or the caller's, number. */
  readonly goroutine: number;
  /** Innermost first. */
  readonly stack: readonly JsonFrame[];
}

/** What the racy memory belongs to. */
export interface JsonLocation {
  /** A mapped range, or a block that was allocated. */
  readonly kind: 'region' | 'object';
  /** First byte of it, in hexadecimal. */
  readonly address: string;
  /** Length of it. */
  readonly sizeBytes: number;
  /** How far the racy byte is into it. */
  readonly offset: number;
  /** `data`, `heap`, or what the layout calls the range. */
  readonly name?: string;
  /** Who allocated the block, and where; absent if that is not known. */
  readonly allocatedBy?: JsonAllocation;
}

/** A race as `lazyshadow replay --json` prints it. */
export interface JsonRace {
  /** First byte on which the two raced, in hexadecimal. */
  readonly address: string;
  /** How many from there on, in that granule of 8. */
  readonly sizeBytes: number;
  /** The access that found it. */
  readonly current: JsonAccess;
  /** The earlier one. */
  readonly previous: JsonAccess;
  /** What the memory belongs to; null if nobody knows. */
  readonly location: JsonLocation | null;
}

/** An address as JSON has it: hexadecimal, as short as it is. */
export function jsonAddress(address: number): string {
  return `0x${address.toString(16)}`;
}

/**
 * A report as JSON.
 * @param prefix cut off the front of every file, as GORACE's strip_path_prefix
 */
export function jsonRace(report: RaceReport, symbolize: Symbolize, prefix = ''): JsonRace {
  const stack = (pcs: readonly number[]): JsonFrame[] =>
    framesOf(pcs, symbolize).map(({ function: name, file, line }) => ({
      function: name,
      file: stripPathPrefix(file, prefix),
      line,
    }));
  const access = (from: ReportedAccess): JsonAccess => ({
    kind: from.kind,
    atomic: from.atomic,
    goroutine: from.goroutine,
    stack: stack(from.stack ?? []),
    goroutineCreatedAt: stack(from.createdAt),
  });
  const location = (from: RaceLocation): JsonLocation => {
    const where = { address: jsonAddress(from.address), sizeBytes: from.sizeBytes, offset: from.offset };
    if (from.kind === 'region') return { kind: from.kind, name: from.name, ...where };
    if (from.allocated === null) return { kind: from.kind, ...where };
    const { goroutine, stack: pcs } = from.allocated;
    return { kind: from.kind, ...where, allocatedBy: { goroutine, stack: stack(pcs) } };
  };
  return {
    address: jsonAddress(report.address),
    sizeBytes: report.sizeBytes,
    current: access(report.current),
    previous: access(report.previous),
    location: report.location === null ? null : location(report.location),
  };
}
