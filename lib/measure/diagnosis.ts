/**
 * What this machine can do, and what of it will get in the way of shadow memory.
 */

import { LazyShadowError } from '../native/errors.js';
import { firstMapping, geometry, type SystemMemory, systemMemory } from '../native/system.js';
import { layoutByName } from '../shadow/layouts.js';
import { Shadow } from '../shadow/shadow.js';

/** One fact, and a line of advice if it gets in the way. */
export interface Finding {
  /** What it is about. */
  readonly name: string;
  /** The fact: bytes where it is a number and `unit` says so. */
  readonly value: string | number | null;
  /** What kind of value it is. */
  readonly unit: 'bytes' | 'count' | 'words';
  /** What to do about it; null if it is no obstacle. */
  readonly advice: string | null;
}

/** Reservations of the default layout; a lower `ulimit -v` cannot hold them. */
const DEFAULT_RESERVATION_BYTES = 580 * 2 ** 30;
/** Mappings under which the sparse commits of a large program will be merged. */
const FEW_MAPPINGS = 65530;

function words(name: string, value: string | null, advice: string | null = null): Finding {
  return { name, value, unit: 'words', advice };
}

function bytes(name: string, value: number | null, advice: string | null = null): Finding {
  return { name, value, unit: 'bytes', advice };
}

/**
 * Looks at the machine and at this process's place in it. If the addon is missing, that is the one finding.
 */
export function diagnose(): Finding[] {
  try {
    const system = systemMemory();
    return [
      words('platform', `${process.platform}-${process.arch}, Node ${process.version}`),
      bytes('page size', system.pageSizeBytes),
      bytes('allocation granularity', system.allocationGranularityBytes),
      ...commitFindings(system),
      ...limitFindings(system),
      ...pageFindings(system),
      ...rangeFindings(),
    ];
  } catch (error) {
    if (error instanceof LazyShadowError && error.code === 'ERR_ADDON_MISSING') {
      return [words('native addon', 'missing', error.message)];
    }
    throw error;
  }
}

const OVERCOMMIT = ['0, heuristic', '1, always', '2, never beyond the limit'];

function commitFindings({
  overcommitMode,
  commitLimitBytes,
  commitTotalBytes,
  physicalBytes,
}: SystemMemory): Finding[] {
  const strict = overcommitMode === 2 || process.platform === 'win32';
  const left =
    commitLimitBytes !== null && commitTotalBytes !== null ? commitLimitBytes - commitTotalBytes : null;
  const findings = [bytes('physical memory', physicalBytes)];
  if (overcommitMode !== null) {
    findings.push(
      words(
        'overcommit (vm.overcommit_memory)',
        OVERCOMMIT[overcommitMode] ?? String(overcommitMode),
        strict ? 'Policy eager will be refused, and lazy is charged for all it maps: prefer touch.' : null,
      ),
    );
  }
  findings.push(bytes('commit limit', commitLimitBytes));
  findings.push(
    bytes(
      'commit limit left',
      left,
      strict && left !== null && left < 2 ** 30
        ? 'Less than 1 GiB can still be committed: close programs, or enlarge swap or the page file.'
        : null,
    ),
  );
  return findings;
}

function limitFindings(system: SystemMemory): Finding[] {
  const { virtualLimitBytes, dataLimitBytes, cgroupLimitBytes, cgroupUsageBytes, maxMapCount, mapCount } =
    system;
  return [
    bytes(
      'address space limit (ulimit -v)',
      virtualLimitBytes,
      virtualLimitBytes !== null && virtualLimitBytes < DEFAULT_RESERVATION_BYTES
        ? 'Reservations count against it: raise it, or give Shadow a heapBytes that fits.'
        : null,
    ),
    bytes(
      'data limit (ulimit -d)',
      dataLimitBytes,
      dataLimitBytes === null ? null : 'Commits beyond it will fail: raise it if they do.',
    ),
    bytes(
      'control group memory limit',
      cgroupLimitBytes,
      cgroupLimitBytes !== null && cgroupUsageBytes !== null && cgroupLimitBytes - cgroupUsageBytes < 2 ** 30
        ? 'Less than 1 GiB of it is left; beyond it the kernel kills the process.'
        : null,
    ),
    {
      name: 'mappings allowed (vm.max_map_count)',
      value: maxMapCount,
      unit: 'count',
      advice:
        maxMapCount !== null && maxMapCount < FEW_MAPPINGS
          ? 'Sparse commits will be merged into larger ones sooner: raise it to 65530 or more.'
          : null,
    },
    { name: 'mappings in use', value: mapCount, unit: 'count', advice: null },
    ...(maxMapCount === null
      ? []
      : [
          words(
            'an isolated page under touch',
            geometry().hasMemoryFiles ? 'takes no mapping (a file in memory)' : 'takes two mappings',
          ),
        ]),
  ];
}

function pageFindings({ transparentHugePages }: SystemMemory): Finding[] {
  if (transparentHugePages === null) return [];
  const kept = keptFromHugePages();
  return [
    words(
      'transparent huge pages',
      `${transparentHugePages}; shadow ${kept ? 'is kept out of them' : 'is not kept out of them'}`,
      transparentHugePages === 'always' && !kept
        ? 'One touched byte of shadow may take 2 MiB: set /sys/kernel/mm/transparent_hugepage/enabled to madvise.'
        : null,
    ),
  ];
}

/** The system's answer to the advice is known once something was reserved. */
function keptFromHugePages(): boolean {
  new Shadow({ heapBytes: 2 ** 20 }).release();
  return geometry().keptFromHugePages;
}

function rangeFindings(): Finding[] {
  return ['node-x4', 'go-unix-x4', 'go-windows-x4'].map((name) => {
    const { shadow, application } = layoutByName(name);
    const start = shadow.span?.start ?? shadow.base;
    const end = shadow.span?.end ?? shadow.base + (application.at(-1)?.end ?? 0) * shadow.multiplier;
    const taken = firstMapping(start, end - start);
    return words(
      `shadow range of layout ${name}`,
      taken === null ? 'free' : `taken at 0x${taken.toString(16)}`,
      taken === null
        ? null
        : 'The shadow will move elsewhere, but policy unreserved cannot: use layout node-x4 for it.',
    );
  });
}
