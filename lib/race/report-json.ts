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

export interface JsonFrame {
  readonly function: string;
  readonly file: string;
  readonly line: number;
}

export interface JsonAccess {
  readonly kind: 'read' | 'write';
  readonly atomic: boolean;
  readonly goroutine: number;
  /** Innermost first; empty when the stack is no longer known. */
  readonly stack: readonly JsonFrame[];
  readonly goroutineCreatedAt: readonly JsonFrame[];
}

export interface JsonLocation {
  readonly kind: 'region' | 'object';
  readonly address: string;
  readonly sizeBytes: number;
  readonly offset: number;
  readonly name?: string;
  readonly allocatedBy?: { readonly goroutine: number; readonly stack: readonly JsonFrame[] };
}

export interface JsonRace {
  readonly address: string;
  readonly sizeBytes: number;
  readonly current: JsonAccess;
  readonly previous: JsonAccess;
  readonly location: JsonLocation | null;
}

/** An address as JSON has it: hexadecimal, as short as it is. */
export function jsonAddress(address: number): string {
  return `0x${address.toString(16)}`;
}

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
