/**
 * What Linux says of a process, read independently of the addon: tests compare the two.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { firstMapping } from '../../lib/native/system.js';

export const linux = process.platform === 'linux';
export const windows = process.platform === 'win32';

export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly permissions: string;
  readonly residentBytes: number;
  readonly flags: readonly string[];
  /** Of a memory file of the library's, which is mapped whole and charged by the page: the pages that it has here. */
  readonly fileBytes: number | undefined;
}

/**
 * The mappings of a process, from /proc/PID/smaps: disjoint, though the kernel lists what was joined to the mapping
 * before it, while it was being read, from its beginning.
 */
export function mappings(pid: number | 'self' = 'self'): Mapping[] {
  const found: Mapping[] = [];
  let listed = 0;
  for (const block of readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/(?=^[0-9a-f]+-[0-9a-f]+ )/m)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(block);
    if (!head) continue;
    const start = Math.max(listed, Number.parseInt(head[1] ?? '', 16));
    const end = (listed = Number.parseInt(head[2] ?? '', 16));
    const bytesOf = (key: string) =>
      Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(block)?.[1]) * 1024;
    found.push({
      start,
      end,
      permissions: head[3] ?? '',
      residentBytes: bytesOf('Rss'),
      flags: /^VmFlags: (.*)$/m.exec(block)?.[1]?.trim().split(' ') ?? [],
      fileBytes: block.includes('/memfd:lazyshadow') ? bytesOf('Rss') + bytesOf('Swap') : undefined,
    });
  }
  return found;
}

/** Bytes of charged ("accounted") mappings, and of memory files' pages, within [start, start + sizeBytes). */
export function chargedBytes(
  start: number,
  sizeBytes: number,
  from: readonly Mapping[] = mappings(),
): number {
  return usageOf(start, sizeBytes, from).chargedBytes;
}

/** A field of /proc/PID/status in bytes: VmSize, VmRSS, VmHWM. */
export function status(field: string, pid: number | 'self' = 'self'): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

/** Whether anything is mapped in a range: what /proc says where it is, else what the addon does. */
export function isAnythingAt(start: number, sizeBytes: number): boolean {
  return linux ? usageOf(start, sizeBytes).mappedBytes > 0 : firstMapping(start, sizeBytes) !== null;
}

/** What the kernel says of [start, start + sizeBytes), where whole mappings begin and end. */
export interface RangeUsage {
  /** Writable, readable or neither: the bytes that something is mapped at. */
  readonly mappedBytes: number;
  /** What may be written to: of a memory file, whose mapping never keeps anyone from it, the pages that it has. */
  readonly writableBytes: number;
  readonly chargedBytes: number;
  readonly residentBytes: number;
}

/** Adds up the mappings that lie in a range. Those that reach beyond it count with their part, resident ones whole. */
export function usageOf(start: number, sizeBytes: number, from: readonly Mapping[] = mappings()): RangeUsage {
  const usage = { mappedBytes: 0, writableBytes: 0, chargedBytes: 0, residentBytes: 0 };
  for (const mapping of from) {
    const bytes = Math.min(mapping.end, start + sizeBytes) - Math.max(mapping.start, start);
    if (bytes <= 0) continue;
    usage.mappedBytes += bytes;
    usage.residentBytes += mapping.residentBytes;
    if (mapping.fileBytes !== undefined) {
      usage.writableBytes += mapping.fileBytes;
      usage.chargedBytes += mapping.fileBytes;
      continue;
    }
    if (mapping.permissions.startsWith('rw')) usage.writableBytes += bytes;
    if (mapping.flags.includes('ac')) usage.chargedBytes += bytes;
  }
  return usage;
}

/** Pages of [start, start + sizeBytes) that are in memory, from /proc/self/pagemap: eight bytes a page, bit 63. */
export function residentPagesIn(start: number, sizeBytes: number, pageBytes = 4096): number {
  const entries = Buffer.alloc((sizeBytes / pageBytes) * 8);
  const file = openSync('/proc/self/pagemap', 'r');
  try {
    readSync(file, entries, 0, entries.length, (start / pageBytes) * 8);
  } finally {
    closeSync(file);
  }
  let pages = 0;
  for (let at = 7; at < entries.length; at += 8) if (((entries[at] ?? 0) & 0x80) !== 0) pages++;
  return pages;
}
