/**
 * The addon as TypeScript sees it, and the one place that loads it.
 *
 * Nothing outside lib/native and lib/shadow calls these; they take checked arguments and throw errors that
 * `failures.ts` turns into {@link LazyShadowError}. All numbers are addresses and sizes in bytes unless named
 * otherwise. The C++ side of each is in native/*_binding.cc.
 */

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import bindings from 'bindings';
import { LazyShadowError } from './errors.js';

/** How a native reservation comes by its memory; native/reservation_binding.cc has the same numbers. */
export const ReservationMode = { Anywhere: 0, Preferred: 1, Exact: 2, Attach: 3 } as const;

/** What a test can have the system refuse; native/fault_injection.h has the same numbers. */
export const FaultVerb = { reserve: 0, commit: 1, decommit: 2, zero: 3, release: 4, query: 5 } as const;

/** What the operating system counts for one reservation or shadow, in bytes. */
export interface MemoryStats {
  /** Addresses that nothing else will be placed at. */
  readonly reservedBytes: number;
  /** What lazyshadow asked the system to commit. */
  readonly committedBytes: number;
  /** What the system itself counts as committed there. */
  readonly osCommittedBytes: number;
  /** What of it is in physical memory. */
  readonly residentBytes: number;
}

/** A range of addresses. */
export interface AddressRange {
  /** First address. */
  readonly address: number;
  /** Length. */
  readonly sizeBytes: number;
}

/** One of the equal pieces that the addresses of a shadow are cut into, and what of it is in use, in bytes. */
export interface ShadowBlock {
  /** Its first address. */
  readonly address: number;
  /** What lazyshadow asked the system to commit of it. */
  readonly committedBytes: number;
  /** What the system itself counts as committed of that. */
  readonly osCommittedBytes: number;
  /** What of it is in physical memory. */
  readonly residentBytes: number;
}

export interface NativeReservation {
  readonly address: number;
  readonly sizeBytes: number;
  /** `isWrittenSoon`: all of it, so that its pages had better be made at once. */
  commit(address: number, sizeBytes: number, isWrittenSoon?: boolean): number;
  decommit(address: number, sizeBytes: number): number;
  purge(address: number, sizeBytes: number): void;
  bytes(address: number, sizeBytes: number): ArrayBuffer;
  committedRanges(): AddressRange[];
  stats(): MemoryStats;
  release(): void;
}

/** Where the bytes of one plane (shadow or metainfo) lie: at origin + (address / 8) * bytesPerGranule. */
export interface NativePlane {
  readonly bytesPerGranule: number;
  readonly origin: number;
  /** Index into the design's spans. */
  readonly span: number;
}

export interface ShadowDesign {
  /** 0 eager, 1 unreserved, 2 lazy, 3 touch. */
  readonly policy: number;
  readonly touchBlockBytes: number;
  readonly description: string;
  readonly spans: readonly AddressRange[];
  readonly regions: readonly (AddressRange & { readonly planes: readonly NativePlane[] })[];
}

export interface NativeShadowMap {
  readonly id: number;
  readonly description: string;
  /** The number by which {@link mapShadow} knows it. */
  readonly handle: number;
  unmapShadow(address: number, sizeBytes: number): void;
  isMapped(address: number, sizeBytes: number): boolean;
  mappedBytes(address: number, sizeBytes: number): number;
  touch(segment: number, plane: number, firstPage: number, pageCount: number): void;
  discard(segment: number, plane: number, firstPage: number, pageCount: number): void;
  openWindow(segment: number, plane: number): ArrayBuffer | undefined;
  openPageStates(segment: number, plane: number): ArrayBuffer | undefined;
  /** True the first time, in whatever thread: for the one detector whose cells the shadow holds. */
  claim(): boolean;
  spans(): { wantedAddress: number; address: number; sizeBytes: number }[];
  stats(): MemoryStats & { mappedBytes: number; mergedIslands: number; mergedBytes: number };
  mappedRanges(): AddressRange[];
  blocks(address: number, sizeBytes: number, plane: number, blockBytes: number): ShadowBlock[];
  release(): void;
}

/**
 * Windows onto any addresses, committed or not: their owner knows what it may touch, and closes them (which detaches
 * them all) before the memory goes.
 */
export interface NativeWindows {
  open(address: number, sizeBytes: number): ArrayBuffer;
  close(): void;
}

/** What the platform's memory is made of. */
export interface Geometry {
  /** Unit of commit and decommit. */
  readonly pageSizeBytes: number;
  /** Unit of the addresses at which reservations begin: the page size on Unix, 64 KiB on Windows. */
  readonly allocationGranularityBytes: number;
  /** No address at or above this can be mapped by a program. */
  readonly addressEnd: number;
  /** Separate pieces of committed memory from which on pieces are merged. */
  readonly islandLimit: number;
  /** Whether single pages are committed in a file in memory, where pieces take no mappings (policy `touch`, Linux). */
  readonly hasMemoryFiles: boolean;
  /** Whether the system took the advice to keep reservations out of huge pages, and out of core files. */
  readonly keptFromHugePages: boolean;
  readonly keptFromDumps: boolean;
}

/** This process's memory, in bytes; one meaning on every platform. */
export interface ProcessMemory {
  /** Address space in use, reserved or committed: VIRT of `top`. */
  readonly virtualBytes: number;
  /** In physical memory now: RSS. */
  readonly residentBytes: number;
  /** In physical memory at most so far. */
  readonly peakResidentBytes: number;
  /** Charged against the machine's commit limit, touched or not; null on macOS, which has no such limit. */
  readonly commitBytes: number | null;
}

/** The counters and limits of the machine, in bytes; null where there is no such thing or no limit. */
export interface SystemCounters {
  /** The machine's memory. */
  readonly physicalBytes: number;
  /** What may be promised in all. */
  readonly commitLimitBytes: number | null;
  /** What is promised now. */
  readonly commitTotalBytes: number | null;
  /** Linux's vm.overcommit_memory: 0 heuristic, 1 always, 2 never beyond the limit. */
  readonly overcommitMode: number | null;
  /** `ulimit -v`, which counts reservations too. */
  readonly virtualLimitBytes: number | null;
  /** `ulimit -d`, which counts what is writable. */
  readonly dataLimitBytes: number | null;
  /** The tightest memory limit of the process's control groups … */
  readonly cgroupLimitBytes: number | null;
  /** … and what that group uses. */
  readonly cgroupUsageBytes: number | null;
  /** Mappings that a process may have (Linux's vm.max_map_count) … */
  readonly maxMapCount: number | null;
  /** … and that this one has. */
  readonly mapCount: number | null;
  /** Linux: `always`, `madvise` or `never`. */
  readonly transparentHugePages: string | null;
}

interface Addon {
  /** `isPrivate`: nobody else may attach to it. */
  Reservation: new (
    address: number,
    sizeBytes: number,
    mode: number,
    isPrivate?: boolean,
  ) => NativeReservation;
  ShadowMap: new (designOrId: ShadowDesign | number) => NativeShadowMap;
  /**
   * Maps what `mapShadowArguments` says: the handle's number, address and size. Neither a method nor a function with
   * arguments, for each of them would cost this call more than it has to spare; see native/shadow_map_binding.cc.
   */
  mapShadow(): void;
  readonly mapShadowArguments: Float64Array;
  geometry(): Geometry;
  processMemory(): ProcessMemory;
  systemMemory(): SystemCounters;
  firstMapping(address: number, sizeBytes: number): number | null;
  Windows: new () => NativeWindows;
  /**
   * For tests: of the system calls of these verbs from now on, counted from 0, those from `first` on are refused with
   * `code`, so many. {@link FaultVerb} has the verbs.
   */
  injectFaults(verbs: readonly number[], first: number, count: number, code: number): void;
  /** Ends that. Returns how many calls of those verbs there were, refused ones included. */
  endFaults(): number;
}

/** The package's root directory. `bindings` finds the nearest package.json, which may be the one that marks dist/cjs. */
export function packageRoot(): string {
  let root = bindings.getRoot(bindings.getFileName());
  for (;;) {
    const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name?: string };
    if (name === 'lazyshadow') return root;
    root = bindings.getRoot(dirname(root));
  }
}

/**
 * Which C library this Node runs on: an addon built for one does not load on the other. Node's own file names its
 * loader within the first page.
 */
function systemName(): string {
  if (process.platform !== 'linux') return process.platform;
  const start = Buffer.alloc(4096);
  try {
    const file = openSync(process.execPath, 'r');
    readSync(file, start);
    closeSync(file);
  } catch {
    // A Node that cannot be read is taken for the common case.
  }
  return start.includes('/ld-musl-') ? 'linux-musl' : 'linux';
}

/**
 * What `bindings` is asked for: first what was built here (build/Release), last, where its list has
 * compiled/<version>/<platform>/<arch>, the package's own prebuilds/napi-v8/<system>/<arch>.
 */
function whereToLook(): bindings.Options {
  return {
    bindings: 'lazyshadow',
    module_root: packageRoot(),
    compiled: 'prebuilds',
    version: 'napi-v8',
    platform: systemName() as NodeJS.Platform,
  };
}

/** What a person must install to build the addon, by platform. */
const COMPILERS: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'Python 3, make and a C++17 compiler (Debian: apt-get install python3 make g++)',
  darwin: 'Python 3 and a C++17 compiler (xcode-select --install)',
  win32: 'Python 3 and a C++17 compiler (Visual Studio Build Tools, "Desktop development with C++")',
};

function addonMissing(cause: unknown): LazyShadowError {
  // `bindings` lists what it tried; an addon that is there and was refused comes with the system's own words.
  const wasRefused = !(cause instanceof Error && 'tries' in cause);
  const refusal = wasRefused ? ` (${cause instanceof Error ? cause.message.trim() : String(cause)})` : '';
  const compiler = COMPILERS[process.platform] ?? 'Python 3, make and a C++17 compiler';
  return new LazyShadowError(
    'ERR_ADDON_MISSING',
    `There is no native addon for ${systemName()}-${process.arch} that this Node (${process.version}) can ` +
      `load${refusal}. To build it, install ${compiler}, then run \`npx node-gyp rebuild\` in ${packageRoot()}.`,
    { verb: 'load', cause },
  );
}

let loaded: Addon | undefined;

/**
 * The addon, loaded on first use, so that the library can be imported, and say what is missing, without it.
 * @throws LazyShadowError ERR_ADDON_MISSING
 */
export function addon(): Addon {
  if (loaded === undefined) {
    try {
      loaded = bindings(whereToLook()) as Addon;
    } catch (cause) {
      throw addonMissing(cause);
    }
  }
  return loaded;
}

/** `mapShadow` of the native map with this handle. */
export function mapShadow(handle: number, address: number, sizeBytes: number): void {
  const native = addon();
  native.mapShadowArguments[0] = handle;
  native.mapShadowArguments[1] = address;
  native.mapShadowArguments[2] = sizeBytes;
  native.mapShadow();
}
