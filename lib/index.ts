/**
 * lazyshadow's public face. docs/overview.md walks a call from here to the operating system and back.
 *
 * Importing this loads nothing of the command line, and the native addon only when it is first needed.
 */

export type { HeapForm } from './heap/arena.js';
export { type Block, FlagNoPointers, FlagNoZero, Heap } from './heap/heap.js';
export type { DataSegment, HeapOptions } from './heap/mallocinit.js';
export type { MemStats, MemStatsBySize } from './heap/memstats.js';
export type { RaceHooks } from './heap/race-hooks.js';
export { shadowHooks } from './heap/shadow-hooks.js';
export type { HeapReport } from './heap/verify.js';
export { WORKLOAD_NAMES } from './measure/workloads.js';
export { diagnose, type Finding } from './measure/diagnosis.js';
export type { AddressMap, MapArea } from './measure/map.js';
export type { Failure, PolicyResult } from './measure/experiment.js';
export { type MeasureOptions, type MeasureResult, measure } from './measure/measure.js';
export type { Sample } from './measure/sample.js';
export type { GoHeapSample } from './measure/workload.js';
export type { PageShift } from './heap/msize.js';
export type { TraceInput } from './trace/source.js';
export type { AddressRange, MemoryStats, ShadowBlock } from './native/addon.js';
export {
  formatAddress,
  LazyShadowError,
  type LazyShadowErrorCode,
  type LazyShadowErrorDetails,
} from './native/errors.js';
export { Reservation, type ReserveOptions } from './native/reservation.js';
export { type ProcessMemory, processMemory, type SystemMemory, systemMemory } from './native/system.js';
export { DEFAULT_GORACE, type GoraceOptions, parseGorace } from './race/gorace.js';
export { type AtomicKind, Race, type RaceOptions } from './race/package-race.js';
export { type CheckingRuntime, createRaceRuntime, type RaceRuntime } from './race/race.js';
export { race0 } from './race/race0.js';
export type { RaceLocation, RaceReport, ReportedAccess, SourceFrame, Symbolize } from './race/report.js';
export {
  type JsonAccess,
  type JsonAllocation,
  type JsonFrame,
  type JsonLocation,
  type JsonRace,
  jsonRace,
} from './race/report-json.js';
export { type SarifRun, sarifLog } from './race/report-sarif.js';
export { formatReport, formatSummary, type TextOptions } from './race/report-text.js';
export {
  type AddressSpan,
  type ApplicationRange,
  DEFAULT_LAYOUT,
  LAYOUT_NAMES,
  type Layout,
  layoutByName,
} from './shadow/layouts.js';
export { DEFAULT_POLICY, POLICIES, type Policy } from './shadow/policies.js';
export { Shadow, type ShadowOptions, type ShadowSpan, type ShadowStats } from './shadow/shadow.js';
export { Op, type OpName, type TraceHeader } from './trace/format.js';
export {
  type CallCount,
  type FunctionCount,
  inspectTrace,
  type MappedRange,
  type TraceSummary,
} from './trace/inspect.js';
export { type EventBatch, TraceReader } from './trace/reader.js';
export { type ReplayOptions, type ReplayResult, replayTrace } from './trace/replay.js';
export type { Frame, SymbolTable } from './trace/symbols.js';
export { type EventFields, TraceWriter } from './trace/writer.js';
