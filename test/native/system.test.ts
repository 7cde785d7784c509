/**
 * What the addon says of the process and the machine, against what /proc and Node say.
 */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { firstMapping, processMemory, systemMemory } from '../../lib/native/system.js';
import { mappings, status } from '../support/proc.js';
import { slow } from '../support/sizes.js';
import { unlessNoProc } from '../support/skips.js';

const MiB = 2 ** 20;
/** What the address space may grow by beside: qemu's own page tables lie in it too. */
const VIRTUAL_SLACK_BYTES = (slow ? 256 : 64) * MiB;

/** Within so many bytes: between two looks a process changes. */
function near(actual: number, expected: number, slack = 8 * MiB): void {
  expect(Math.abs(actual - expected), `${actual} and ${expected}`).toBeLessThan(slack);
}

describe('processMemory', () => {
  it('agrees with /proc/self/status', unlessNoProc, () => {
    const memory = processMemory();
    near(memory.virtualBytes, status('VmSize'));
    near(memory.residentBytes, status('VmRSS'));
    near(memory.peakResidentBytes, status('VmHWM'));
    expect(memory.peakResidentBytes).toBeGreaterThanOrEqual(memory.residentBytes - 8 * MiB);
  });

  it('counts as commit charge what the kernel has accounted', unlessNoProc, () => {
    const accounted = mappings()
      .filter(({ flags }) => flags.includes('ac'))
      .reduce((sum, { start, end }) => sum + end - start, 0);
    near(processMemory().commitBytes ?? 0, accounted, 32 * MiB);
  });

  it('sees a reservation in virtual memory, a commit in the charge, and a touch in resident', () => {
    const start = processMemory();
    const reservation = Reservation.reserve(2 ** 34);
    const reserved = processMemory();
    near(reserved.virtualBytes - start.virtualBytes, 2 ** 34, VIRTUAL_SLACK_BYTES);
    reservation.commit(reservation.address, 256 * MiB);
    const committed = processMemory();
    if (committed.commitBytes !== null && reserved.commitBytes !== null) {
      near(committed.commitBytes - reserved.commitBytes, 256 * MiB, 16 * MiB);
    }
    // No more, because AddressSanitizer looks at an eighth of it beside, which a kernel without a page of zeros makes resident.
    reservation.bytes(reservation.address, 64 * MiB).fill(1);
    near(processMemory().residentBytes - committed.residentBytes, 64 * MiB, 16 * MiB);
    reservation.release();
    near(processMemory().virtualBytes, start.virtualBytes, VIRTUAL_SLACK_BYTES);
  });
});

describe('systemMemory', () => {
  it('says page size, granularity and physical memory', () => {
    const system = systemMemory();
    expect(Number.isInteger(Math.log2(system.pageSizeBytes))).toBe(true);
    expect(system.allocationGranularityBytes % system.pageSizeBytes).toBe(0);
    expect(system.physicalBytes).toBe(totalmem());
  });

  it('agrees with /proc on limits', unlessNoProc, () => {
    const system = systemMemory();
    const meminfo = readFileSync('/proc/meminfo', 'utf8');
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1]) * 1024;
    expect(system.commitLimitBytes).toBe(field('CommitLimit'));
    const number = (path: string) => Number(readFileSync(path, 'utf8'));
    expect(system.overcommitMode).toBe(number('/proc/sys/vm/overcommit_memory'));
    expect(system.maxMapCount).toBe(number('/proc/sys/vm/max_map_count'));
    near(system.mapCount ?? 0, mappings().length, 50);
    const unlimited = /^Max address space\s+unlimited/m.test(readFileSync('/proc/self/limits', 'utf8'));
    expect(system.virtualLimitBytes === null).toBe(unlimited);
  });
});

it('the commit of all processes agrees with /proc', unlessNoProc, async () => {
  // Others come and go between the two looks, gigabytes of them when tests run beside this one: but not at each.
  const difference = () => {
    const committed = /^Committed_AS:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    return Math.abs((systemMemory().commitTotalBytes ?? 0) - Number(committed) * 1024);
  };
  await expect.poll(difference, { timeout: 20_000 }).toBeLessThan(64 * MiB);
});

describe('firstMapping', () => {
  it('finds the lowest mapping in a range, and none where there is none', () => {
    const reservation = Reservation.reserve(2 ** 20, { address: 0x5f00_0000_0000, exact: true });
    expect(firstMapping(0x5f00_0000_0000 - 65536, 2 ** 20)).toBe(0x5f00_0000_0000);
    reservation.release();
    expect(firstMapping(0x5f00_0000_0000, 2 ** 20)).toBe(null);
  });
});
