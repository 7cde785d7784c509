/**
 * The operating system refuses in the middle: what was before is there after, and the same call works once there is
 * room. Each in a process of its own, with a limit that fails commits and nothing else.
 */
import { describe, expect, it } from 'vitest';
import { inChild } from '../support/child.js';
import { linux } from '../support/proc.js';
import { sanitized, slow } from '../support/sizes.js';
import { unless, unlessMemoryFiles } from '../support/skips.js';

const ENOMEM = 12;
const MiB = 2 ** 20;
const HEAP = 0xc0_0000_0000;
const withLimits = unless(
  linux,
  'only Linux has limits that fail commits, or reservations, and nothing else',
);
const withDataLimit = slow ? unless(false, 'a limit on data starves qemu itself') : withLimits;

describe('Reservation.commit that the system refuses', withDataLimit, () => {
  it('takes back what it had committed of the other gaps', () => {
    const result = inChild(`
      const reservation = Reservation.reserve(256 * MiB);
      const { address } = reservation;
      for (const at of [0, 64, 128]) {
        reservation.commit(address + at * MiB, MiB);
        reservation.bytes(address + at * MiB, MiB).fill(at + 1);
      }
      const before = [reservation.stats(), reservation.committedRanges()];
      limitData(150 * MiB); // two of the gaps fit, the third does not
      const error = refusal(() => reservation.commit(address, 256 * MiB));
      unlimitData();
      report({
        error: { ...error, address: (error.address - address) / MiB },
        same: JSON.stringify(before) === JSON.stringify([reservation.stats(), reservation.committedRanges()]),
        kept: [0, 64, 128].every((at) => reservation.bytes(address + at * MiB, MiB).every((byte) => byte === at + 1)),
        again: reservation.commit(address, 256 * MiB) / MiB,
        stats: reservation.stats(),
      });
    `);
    expect(result).toMatchObject({
      // Of the gaps at 1, 65 and 129 MiB it is the third that did not fit.
      error: {
        code: 'ERR_OUT_OF_MEMORY',
        verb: 'commit',
        address: 129,
        sizeBytes: 127 * MiB,
        osCode: ENOMEM,
      },
      same: true,
      kept: true,
      again: 253,
      stats: { committedBytes: 256 * MiB, osCommittedBytes: 256 * MiB },
    });
  });
});

describe('mapShadow that the system refuses', withDataLimit, () => {
  /** Maps 16 MiB with room for `room` bytes more: 64 MiB of shadow, then 8 MiB of metainfo. */
  const refused = (policy: string, room: number) =>
    inChild(`
      const shadow = new Shadow({ policy: '${policy}', heapBytes: 2 ** 30 });
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, MiB);
      const segment = memory.segment(HEAP / 2 ** 28);
      memory.touchShadow(segment, 0, 4);
      segment.shadow[0] = 77;
      shadow.mapShadow(HEAP + 8 * MiB, MiB); // in the middle of what will be refused
      const before = JSON.stringify(shadow.stats());
      limitData(${room});
      const error = refusal(() => shadow.mapShadow(HEAP, 16 * MiB));
      unlimitData();
      const { residentBytes, ...counted } = shadow.stats();
      const after = JSON.stringify({ ...shadow.stats() });
      const mapped = shadow.isMapped(HEAP + MiB);
      shadow.mapShadow(HEAP, 16 * MiB);
      report({ error, same: before === after, mapped, live: segment.shadow[0], stats: shadow.stats() });
    `);

  it.each([
    ['shadow', 40 * MiB],
    ['metainfo, after the shadow', 60 * MiB],
  ])('for lack of room for its %s leaves what was', (_, room) => {
    expect(refused('lazy', room)).toMatchObject({
      error: { code: 'ERR_OUT_OF_MEMORY', verb: 'mapShadow', osCode: ENOMEM },
      same: true,
      mapped: false,
      live: 77,
      stats: { mappedBytes: 16 * MiB, committedBytes: 72 * MiB, osCommittedBytes: 72 * MiB },
    });
  });

  it('under unreserved leaves what was', () => {
    expect(refused('unreserved', 40 * MiB)).toMatchObject({
      error: { code: 'ERR_OUT_OF_MEMORY', verb: 'mapShadow', osCode: ENOMEM },
      same: true,
      mapped: false,
      live: 77,
      stats: { mappedBytes: 16 * MiB, committedBytes: 72 * MiB },
    });
  });
});

describe('a touch that the system refuses', withDataLimit, () => {
  it('takes back the pages before it, and works once there is room', () => {
    const result = inChild(`
      const shadow = new Shadow({ policy: 'touch', heapBytes: 2 ** 30, touchBlockBytes: 16 * MiB });
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, 64 * MiB);
      const segment = memory.segment(HEAP / 2 ** 28);
      memory.touchShadow(segment, 32 * MiB, 4);
      segment.shadow[8 * MiB] = 5;
      const before = JSON.stringify(shadow.stats());
      limitData(40 * MiB);
      const error = refusal(() => memory.touchShadow(segment, 0, 128 * MiB));
      unlimitData();
      const same = before === JSON.stringify(shadow.stats());
      const states = [0, 16, 32, 48].map((at) => segment.shadowPages[(at * MiB) / 4096]);
      memory.touchShadow(segment, 0, 128 * MiB);
      report({ error, same, states, live: segment.shadow[8 * MiB], stats: shadow.stats() });
    `);
    expect(result).toMatchObject({
      error: { code: 'ERR_OUT_OF_MEMORY', verb: 'touch', osCode: ENOMEM },
      same: true,
      states: [1, 1, 2, 1],
      live: 5,
      stats: { committedBytes: 128 * MiB, osCommittedBytes: 128 * MiB },
    });
  });
});

const withRoom = sanitized ? unless(false, 'AddressSanitizer takes 16 TiB of addresses itself') : withLimits;

describe('a limit on address space', withRoom, () => {
  const refusals = (limitKiB: number, options: string) =>
    inChild(
      `report(['eager', 'lazy', 'touch'].map((policy) => refusal(() => new Shadow({ policy, ${options} }))));`,
      {
        limits: `ulimit -v ${limitKiB}`,
      },
    );

  it('refuses a shadow that is larger, whatever the policy that reserves, without a crash', () => {
    for (const error of refusals(8 * 2 ** 20, '') as unknown[]) {
      expect(error).toMatchObject({
        code: 'ERR_OUT_OF_MEMORY',
        verb: 'new Shadow',
        address: 0x4000_0000_0000 + HEAP * 4,
        sizeBytes: 2 ** 39,
        osCode: ENOMEM,
      });
    }
  });

  it('leaves room for a smaller one', () => {
    expect(refusals(8 * 2 ** 20, 'heapBytes: 2 ** 26')).toEqual([null, null, null]);
  });
});

/** Mappings; V8 that finds none for its own memory ends the process. */
const LEFT_FOR_THE_PROGRAM = 900;

describe('when mappings run short', unless(linux, 'only Linux counts mappings'), () => {
  // Touches every fourth page of more shadow than there are mappings for.
  const touchIslands = (limits = 'true') => {
    const result = inChild(
      `
      const { maxMapCount } = systemMemory();
      const shadow = new Shadow({ policy: 'touch' });
      const memory = windowsOf(shadow);
      const islands = Math.ceil(maxMapCount / 2) + 3000;
      shadow.mapShadow(HEAP, islands * 4096);
      for (let at = 0; at < islands; at++) {
        const offset = at * 4096; // every fourth page of the shadow
        const segment = memory.segment((HEAP + offset - ((HEAP + offset) % 2 ** 28)) / 2 ** 28);
        const word = ((HEAP + offset) % 2 ** 28) ;
        memory.touchShadow(segment, word * 4, 4);
        segment.shadow[word] = at + 1;
      }
      let kept = true;
      for (let at = 0; at < islands; at++) {
        const address = HEAP + at * 4096;
        const segment = memory.segment(Math.floor(address / 2 ** 28));
        kept &&= segment.shadow[address % 2 ** 28] === at + 1;
      }
      const stats = shadow.stats();
      report({ stats, kept, islands, maxMapCount, mapCount: systemMemory().mapCount });
      shadow.release();
    `,
      { limits },
    ) as {
      stats: Record<'committedBytes' | 'osCommittedBytes' | 'mergedIslands' | 'mergedBytes', number>;
      kept: boolean;
      islands: number;
      maxMapCount: number;
      mapCount: number;
    };
    expect(result.kept).toBe(true);
    expect(result.stats.osCommittedBytes).toBe(result.stats.committedBytes);
    return result;
  };

  it('touch is as exact as ever, since a memory file needs none', unlessMemoryFiles, () => {
    const { stats, islands, mapCount } = touchIslands();
    expect(stats).toMatchObject({ committedBytes: islands * 4096, mergedIslands: 0, mergedBytes: 0 });
    expect(mapCount).toBeLessThan(1000);
  });

  it('touch without a memory file merges islands instead of failing, says so, and stays exact', () => {
    const { stats, islands, maxMapCount, mapCount } = touchIslands('ulimit -f 1000000');
    expect(stats.mergedIslands).toBeGreaterThan(1000);
    expect(stats.committedBytes).toBe(islands * 4096 + stats.mergedBytes);
    expect(maxMapCount - mapCount).toBeGreaterThan(LEFT_FOR_THE_PROGRAM);
  });

  // Each call would take one mapping, or two, of its own.
  it.each(['lazy', 'unreserved'])('mapShadow under %s merges islands, and says so', (policy) => {
    const result = inChild(`
      const { maxMapCount } = systemMemory();
      const shadow = new Shadow({ policy: '${policy}' });
      const islands = maxMapCount + 3000;
      const stride = 32768; // of whose shadow, two units of 64 KiB, half is mapped
      for (let at = 0; at < islands; at++) shadow.mapShadow(HEAP + at * stride, 1);
      const mapped = shadow.mappedRanges().length;
      const { stats, mapCount } = { stats: shadow.stats(), mapCount: systemMemory().mapCount };
      shadow.release();
      report({ stats, islands, mapped, left: maxMapCount - mapCount, after: systemMemory().mapCount });
    `) as Record<'islands' | 'mapped' | 'left' | 'after', number> & {
      stats: Record<'mappedBytes' | 'committedBytes' | 'osCommittedBytes' | 'mergedIslands', number>;
    };
    const { stats, islands, mapped, left, after } = result;
    expect([mapped, stats.mappedBytes]).toEqual([islands, islands]);
    if (policy === 'lazy') expect(stats.osCommittedBytes).toBe(stats.committedBytes);
    expect(stats.mergedIslands).toBeGreaterThan(1000);
    expect(left).toBeGreaterThan(LEFT_FOR_THE_PROGRAM);
    expect(after).toBeLessThan(1000);
  });

  it('a reservation is refused its next island, or hole, while some are left for V8', () => {
    const result = inChild(`
      const { maxMapCount } = systemMemory();
      const pages = 2 * maxMapCount;
      const left = () => maxMapCount - systemMemory().mapCount;
      const until = (act) => {
        for (let page = 0; page < pages; page += 2) {
          const error = refusal(() => act(page * 4096));
          if (error !== null) return { code: error.code, osCode: error.osCode, left: left(), page };
        }
        return null;
      };
      const reservation = Reservation.reserve(pages * 4096);
      const { address } = reservation;
      const islands = until((offset) => reservation.commit(address + offset, 4096));
      const { committedBytes, osCommittedBytes } = reservation.stats();
      // What needs no new mapping is there all the same.
      reservation.commit(address + 4096, 4096);
      reservation.decommit(address, pages * 4096);
      reservation.commit(address, pages * 4096);
      const holes = until((offset) => reservation.decommit(address + offset, 4096));
      report({ islands, committedBytes, osCommittedBytes, holes, stats: reservation.stats(), whole: pages * 4096 });
    `) as Record<'islands' | 'holes', { page: number; left: number }> & {
      committedBytes: number;
      stats: { committedBytes: number };
      whole: number;
    };
    const { islands, holes, committedBytes, stats, whole } = result;
    expect(result).toMatchObject({
      islands: { code: 'ERR_OUT_OF_MEMORY', osCode: ENOMEM },
      osCommittedBytes: committedBytes,
      holes: { code: 'ERR_OUT_OF_MEMORY', osCode: ENOMEM },
      stats: { osCommittedBytes: stats.committedBytes },
    });
    expect(committedBytes).toBe((islands.page / 2) * 4096);
    expect(whole - stats.committedBytes).toBe((holes.page / 2) * 4096);
    for (const { left, page } of [islands, holes]) {
      expect(left).toBeGreaterThan(LEFT_FOR_THE_PROGRAM);
      expect(page).toBeGreaterThan(60_000);
    }
  });
});
