/**
 * The four policies, step by step, against the kernel's own numbers: what each reserves, commits, is charged for and
 * has resident, after every kind of call.
 */
import { describe, expect, it } from 'vitest';
import { Reservation } from '../../lib/native/reservation.js';
import { geometry, systemMemory } from '../../lib/native/system.js';
import { checkedLayout, type Layout } from '../../lib/shadow/layouts.js';
import { POLICIES, type Policy } from '../../lib/shadow/policies.js';
import { PAGE_TOUCHED, PAGE_UNMAPPED } from '../../lib/shadow/segment.js';
import { Shadow, type ShadowOptions, windowsOf } from '../../lib/shadow/shadow.js';
import { pageState, readCell, writeCell } from '../support/cells.js';
import { linux, mappings, status, usageOf } from '../support/proc.js';
import { expectRefusal } from '../support/refusals.js';
import { slow } from '../support/sizes.js';
import { unless, unlessNoProc } from '../support/skips.js';

const PAGE = geometry().pageSizeBytes;
const UNIT = geometry().allocationGranularityBytes;
const MiB = 2 ** 20;
const HEAP = 0xc0_0000_0000;

/** One application range, with shadow and metainfo where nothing else is. */
const LAYOUT: Layout = {
  name: 'one-heap',
  application: [{ name: 'heap', start: HEAP, end: HEAP + 2 ** 30 }],
  shadow: { base: 0x4100_0000_0000, multiplier: 4 },
  metainfo: { base: 0x5100_0000_0000 },
};
const SHADOW_BYTES = 4 * 2 ** 30;
const METAINFO_BYTES = 2 ** 29;
const SHADOW_START = LAYOUT.shadow.base + HEAP * 4;
const METAINFO_START = (LAYOUT.metainfo?.base ?? 0) + HEAP / 2;

function withShadow(options: ShadowOptions, use: (shadow: Shadow) => void): void {
  const shadow = new Shadow({ layout: LAYOUT, ...options });
  try {
    use(shadow);
  } finally {
    shadow.release();
  }
}

/** The kernel's numbers for both planes together. */
function kernel() {
  const all = mappings();
  const [shadow, metainfo] = [
    usageOf(SHADOW_START, SHADOW_BYTES, all),
    usageOf(METAINFO_START, METAINFO_BYTES, all),
  ];
  return {
    mappedBytes: shadow.mappedBytes + metainfo.mappedBytes,
    writableBytes: shadow.writableBytes + metainfo.writableBytes,
    chargedBytes: shadow.chargedBytes + metainfo.chargedBytes,
    residentBytes: shadow.residentBytes + metainfo.residentBytes,
  };
}

describe('what is reserved, committed, charged and resident', unlessNoProc, () => {
  // MAP_NORESERVE counts as charge only where the machine never overcommits.
  const strict = linux && systemMemory().overcommitMode === 2;
  const ALL = SHADOW_BYTES + METAINFO_BYTES;

  /** Compares stats with the kernel's numbers, and both with what the policy should have. */
  function expectUsage(
    shadow: Shadow,
    expected: { reserved: number; committed: number; resident: number },
  ): void {
    const { reserved, committed, resident } = expected;
    const charged = shadow.policy === 'lazy' || shadow.policy === 'touch' || strict ? committed : 0;
    expect(shadow.stats()).toMatchObject({
      reservedBytes: reserved,
      committedBytes: committed,
      osCommittedBytes: charged,
      residentBytes: resident,
      mergedIslands: 0,
      mergedBytes: 0,
    });
    expect(kernel()).toEqual({
      mappedBytes: reserved,
      writableBytes: committed,
      chargedBytes: charged,
      residentBytes: resident,
    });
  }

  it.each(POLICIES)('under %s', (policy: Policy) => {
    const reserves = policy !== 'unreserved';
    /** By what is mapped (shadow and metainfo pages) and what of it was touched. */
    const expected = (mapped: number, touched: number) => ({
      reserved: reserves ? ALL : mapped,
      committed: policy === 'eager' ? ALL : policy === 'touch' ? touched : mapped,
      resident: touched,
    });
    withShadow({ policy }, (shadow) => {
      const memory = windowsOf(shadow);
      expectUsage(shadow, expected(0, 0));

      shadow.mapShadow(HEAP, MiB);
      expectUsage(shadow, expected(4.5 * MiB, 0));
      shadow.mapShadow(HEAP + MiB / 2, MiB); // overlaps
      expectUsage(shadow, expected(6.75 * MiB, 0));
      shadow.mapShadow(HEAP, MiB); // again
      shadow.mapShadow(HEAP + 8 * MiB + 1, 1); // a hole, a byte
      expectUsage(shadow, expected(6.75 * MiB + 2 * PAGE, 0));
      expect(shadow.stats().mappedBytes).toBe(1.5 * MiB + 1);

      for (let at = 0; at < 64; at++) writeCell(memory, 'shadow', HEAP + at * 1024, 1); // 32 KiB each
      writeCell(memory, 'metainfo', HEAP, 1);
      expectUsage(shadow, expected(6.75 * MiB + 2 * PAGE, 65 * PAGE));

      memory.clearShadow(HEAP, 32 * 1024); // 32 pages of shadow: enough to give them back
      expectUsage(shadow, {
        ...expected(6.75 * MiB + 2 * PAGE, 33 * PAGE),
      });
      memory.clearShadow(HEAP + 32 * 1024, 4096); // 4 pages: written
      expectUsage(shadow, expected(6.75 * MiB + 2 * PAGE, 33 * PAGE));

      shadow.unmapShadow(HEAP, MiB);
      // Given back where the policy can; else emptied, and still mapped.
      const left = policy === 'unreserved' ? 6.75 * MiB + 2 * PAGE : 2.25 * MiB + 2 * PAGE;
      expectUsage(shadow, expected(left, 0));
      shadow.mapShadow(HEAP, 1.5 * MiB);
      expectUsage(shadow, expected(6.75 * MiB + 2 * PAGE, 0));
      shadow.release();
      expect(kernel().mappedBytes).toBe(0);
    });
  });

  it('unreserved adds to the virtual size what it committed, and nothing else', () => {
    withShadow({ policy: 'unreserved', layout: 'go-unix-x4', heapBytes: 2 ** 34 }, (shadow) => {
      shadow.mapShadow(HEAP, 65536);
      shadow.stats();
      const before = status('VmSize');
      shadow.mapShadow(HEAP + 2 ** 30, 64 * MiB);
      const added = status('VmSize') - before;
      expect(added).toBeGreaterThanOrEqual(64 * MiB * 4.5);
      expect(added).toBeLessThan(64 * MiB * 4.5 + 4 * MiB); // page states, and V8 goes on living
      expect(shadow.stats().reservedBytes).toBe((64 * MiB + 65536) * 4.5);
    });
  });
});

const advised = unless(linux && !slow, 'only Linux takes this advice, and qemu does not pass it on');

describe('shadow on Linux', advised, () => {
  it.each(POLICIES)('is kept out of huge pages and core files under %s', (policy: Policy) => {
    withShadow({ policy }, (shadow) => {
      const memory = windowsOf(shadow);
      const every = () => {
        const all = mappings().filter(
          ({ start, end }) =>
            (start < SHADOW_START + SHADOW_BYTES && end > SHADOW_START) ||
            (start < METAINFO_START + METAINFO_BYTES && end > METAINFO_START),
        );
        expect(all.length).toBeGreaterThan(0);
        for (const { flags } of all) expect(flags).toEqual(expect.arrayContaining(['nh', 'dd']));
      };
      shadow.mapShadow(HEAP, 4 * MiB);
      for (let at = 0; at < 4 * MiB; at += PAGE / 4) writeCell(memory, 'shadow', HEAP + at, 1);
      every();
      memory.clearShadow(HEAP + MiB, MiB);
      shadow.unmapShadow(HEAP + 2 * MiB, MiB);
      every();
      shadow.mapShadow(HEAP + 2 * MiB, MiB);
      writeCell(memory, 'shadow', HEAP + 2 * MiB, 1);
      writeCell(memory, 'shadow', HEAP + MiB, 1);
      every();
    });
  });
});

describe('heapBytes', () => {
  it('cuts the heap, and what is reserved for it', () => {
    withShadow({ layout: 'node-x4', policy: 'lazy', heapBytes: 2 ** 26 }, (shadow) => {
      expect(shadow.layout.application.at(-1)).toMatchObject({ start: HEAP, end: HEAP + 2 ** 26 });
      // Of the data, from 0x1000 to 0x1000 0000, and of the heap; reservations begin and end at whole units.
      const outward = (start: number, end: number) =>
        Math.ceil(end / UNIT) * UNIT - Math.floor(start / UNIT) * UNIT;
      const shadowBytes = outward(0x1000 * 4, 2 ** 28 * 4) + outward(0, 2 ** 26 * 4);
      const metainfoBytes = outward(0x1000 / 2, 2 ** 27) + outward(0, 2 ** 25);
      expect(shadow.stats().reservedBytes).toBe(shadowBytes + metainfoBytes);
      shadow.mapShadow(HEAP, 2 ** 26);
      expectRefusal(() => shadow.mapShadow(HEAP, 2 ** 26 + 1), {
        code: 'ERR_OUT_OF_RANGE',
        verb: 'mapShadow',
      });
    });
  });

  it('need not be whole pages', () => {
    withShadow({ layout: 'node-x2', policy: 'lazy', heapBytes: 12345 }, (shadow) => {
      shadow.mapShadow(HEAP, 12345);
      expect(shadow.stats()).toMatchObject({ mappedBytes: 12345, committedBytes: 7 * PAGE + 2 * PAGE });
      expect(shadow.isMapped(HEAP, 12345)).toBe(true);
      expect(shadow.isMapped(HEAP, 12346)).toBe(false);
    });
  });
});

describe('touchBlockBytes', () => {
  it('is what a first touch commits, as far as shadow is mapped', () => {
    withShadow({ policy: 'touch', touchBlockBytes: 64 * 1024 }, (shadow) => {
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, 40 * 1024); // shadow of 160 KiB: two blocks and a half; metainfo of 20 KiB
      writeCell(memory, 'shadow', HEAP + 20 * 1024, 1); // the second block
      expect(shadow.stats().committedBytes).toBe(64 * 1024);
      writeCell(memory, 'shadow', HEAP + 40 * 1024 - 1, 1); // the half
      expect(shadow.stats().committedBytes).toBe((64 + 32) * 1024);
      writeCell(memory, 'metainfo', HEAP, 1);
      expect(shadow.stats().committedBytes).toBe((64 + 32 + 20) * 1024);
      const { committedBytes, osCommittedBytes, residentBytes } = shadow.stats();
      expect(osCommittedBytes).toBe(committedBytes);
      expect(residentBytes).toBe(3 * PAGE);
      // Touched is what was asked for, not the block: the rest still reads as zeros without a look.
      expect(pageState(memory, 'shadow', HEAP + 20 * 1024)).toBe(2);
      expect(pageState(memory, 'shadow', HEAP + 17 * 1024)).toBe(1);
    });
  });
});

describe.each(POLICIES)('a granule that is mapped in part, under %s', (policy: Policy) => {
  it('keeps its cells until its last byte is unmapped', () => {
    withShadow({ policy }, (shadow) => {
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, 24);
      for (const at of [0, 8, 16]) {
        writeCell(memory, 'shadow', HEAP + at, at + 1);
        writeCell(memory, 'metainfo', HEAP + at, at + 1);
      }
      const cells = () =>
        [0, 8, 16].map((at) => [
          readCell(memory, 'shadow', HEAP + at),
          readCell(memory, 'metainfo', HEAP + at),
        ]);
      shadow.unmapShadow(HEAP, 4);
      shadow.unmapShadow(HEAP + 20, 4);
      expect(cells()).toEqual([
        [1, 1],
        [9, 9],
        [17, 17],
      ]);
      shadow.unmapShadow(HEAP + 4, 8);
      expect(cells()).toEqual([
        [0, 0],
        [9, 9],
        [17, 17],
      ]);
      shadow.unmapShadow(HEAP, 24);
      shadow.mapShadow(HEAP, 24);
      expect(cells()).toEqual([
        [0, 0],
        [0, 0],
        [0, 0],
      ]);
    });
  });
});

describe('when something is where the shadow belongs', () => {
  const OBSTACLE = SHADOW_START + 64 * MiB;

  it.each(['eager', 'lazy', 'touch'] as const)('%s moves, says so, and works the same', (policy) => {
    const obstacle = Reservation.reserve(PAGE, { address: OBSTACLE, exact: true });
    withShadow({ policy }, (shadow) => {
      const [shadowSpan, metainfoSpan] = shadow.spans;
      expect(shadow.moved).toBe(true);
      expect(shadowSpan).toMatchObject({
        plane: 'shadow',
        wantedAddress: SHADOW_START,
        sizeBytes: SHADOW_BYTES,
      });
      expect(shadowSpan?.address).not.toBe(SHADOW_START);
      expect(metainfoSpan?.address).toBe(METAINFO_START);
      expect(shadow.memToShadow(HEAP + 16)).toBe((shadowSpan?.address ?? 0) + 64);
      expect(shadow.memToMetainfo(HEAP + 16)).toBe(METAINFO_START + 8);
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, 64 * MiB);
      writeCell(memory, 'shadow', HEAP + 16 * MiB, 5);
      expect(readCell(memory, 'shadow', HEAP + 16 * MiB)).toBe(5);
      if (linux) {
        const moved = usageOf(shadow.memToShadow(HEAP + 16 * MiB), PAGE);
        expect(moved).toMatchObject({ writableBytes: PAGE });
      }
      const other = Shadow.attach(shadow.id);
      expect([other.moved, other.spans]).toEqual([true, shadow.spans]);
      expect(readCell(windowsOf(other), 'shadow', HEAP + 16 * MiB)).toBe(5);
      other.release();
    });
    obstacle.release();
  });

  it('unreserved maps the rest, and says which address conflicts', () => {
    const obstacle = Reservation.reserve(2 * PAGE, { address: OBSTACLE, exact: true });
    obstacle.commit(OBSTACLE, PAGE);
    obstacle.bytes(OBSTACLE, PAGE).fill(3);
    withShadow({ policy: 'unreserved' }, (shadow) => {
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, 8 * MiB);
      writeCell(memory, 'shadow', HEAP, 1);
      const before = shadow.stats();
      for (const [start, sizeBytes] of [
        [HEAP + 16 * MiB - 1, 2],
        [HEAP, 32 * MiB], // with something mapped already, and room before the obstacle
        [HEAP + 16 * MiB + PAGE / 4, 1], // of the second page, which another unit may begin
      ] as const) {
        expectRefusal(() => shadow.mapShadow(start, sizeBytes), {
          code: 'ERR_ADDRESS_TAKEN',
          verb: 'mapShadow',
          address: start === HEAP + 16 * MiB + PAGE / 4 && UNIT === PAGE ? OBSTACLE + PAGE : OBSTACLE,
        });
        expect(shadow.stats()).toEqual(before);
      }
      expect(shadow.isMapped(HEAP + 8 * MiB)).toBe(false);
      expect(readCell(memory, 'shadow', HEAP)).toBe(1);
      expect(obstacle.bytes(OBSTACLE, PAGE).every((byte) => byte === 3)).toBe(true);
      obstacle.release();
      shadow.mapShadow(HEAP, 32 * MiB);
      expect(shadow.stats().committedBytes).toBe(32 * MiB * 4.5);
      expect(shadow.moved).toBe(false);
    });
  });
});

describe('a layout without metainfo', () => {
  it('has shadow alone', () => {
    withShadow({ layout: checkedLayout({ ...LAYOUT, metainfo: null }), policy: 'lazy' }, (shadow) => {
      const memory = windowsOf(shadow);
      shadow.mapShadow(HEAP, MiB);
      expect(shadow.stats()).toMatchObject({ reservedBytes: SHADOW_BYTES, committedBytes: 4 * MiB });
      expect(memory.segment(HEAP / 2 ** 28)?.metainfo.length).toBe(0);
      expect(writeCell(memory, 'metainfo', HEAP, 1)).toBe(false);
      expect(writeCell(memory, 'shadow', HEAP, 1)).toBe(true);
      expectRefusal(() => shadow.memToMetainfo(HEAP), {
        code: 'ERR_UNSUPPORTED',
        verb: 'memToMetainfo',
        address: HEAP,
      });
    });
  });
});

describe('release', () => {
  it.each(POLICIES)(
    'makes every page of %s unmapped: code that kept its states reaches nothing',
    (policy) => {
      const shadow = new Shadow({ layout: LAYOUT, policy });
      shadow.mapShadow(HEAP, MiB);
      const memory = windowsOf(shadow);
      writeCell(memory, 'shadow', HEAP, 1);
      writeCell(memory, 'metainfo', HEAP, 1);
      const { shadowPages, metainfoPages } = memory.segment(HEAP / 2 ** 28) ?? expect.fail('no segment');
      expect(shadowPages[0]).toBe(PAGE_TOUCHED);
      shadow.release();
      expect(shadowPages.every((state) => state === PAGE_UNMAPPED)).toBe(true);
      expect(metainfoPages.every((state) => state === PAGE_UNMAPPED)).toBe(true);
    },
  );

  it('leaves the memory to other handles, and none of the page states to the one that was released', () => {
    const shadow = new Shadow({ layout: LAYOUT });
    const other = Shadow.attach(shadow.id);
    shadow.mapShadow(HEAP, MiB);
    writeCell(windowsOf(other), 'shadow', HEAP, 7);
    const { shadowPages } = windowsOf(shadow).segment(HEAP / 2 ** 28) ?? expect.fail('no segment');
    shadow.release();
    expect(shadowPages.length).toBe(0);
    expect(readCell(windowsOf(other), 'shadow', HEAP)).toBe(7);
    other.release();
  });

  it('leaves the windows to the next shadow at the same addresses, where all is zero again', () => {
    const first = new Shadow({ layout: LAYOUT });
    first.mapShadow(HEAP, MiB);
    writeCell(windowsOf(first), 'shadow', HEAP, 7);
    const window = windowsOf(first).segment(HEAP / 2 ** 28)?.shadow.buffer;
    first.release();
    const second = new Shadow({ layout: LAYOUT });
    second.mapShadow(HEAP, MiB);
    const memory = windowsOf(second);
    expect(readCell(memory, 'shadow', HEAP)).toBe(0);
    expect(writeCell(memory, 'shadow', HEAP, 8)).toBe(true);
    if (!first.moved && !second.moved) expect(memory.segment(HEAP / 2 ** 28)?.shadow.buffer).toBe(window);
    second.release();
  });

  it('leaves nothing that can be asked', () => {
    const shadow = new Shadow({ layout: LAYOUT });
    shadow.mapShadow(HEAP, MiB);
    const memory = windowsOf(shadow);
    shadow.release();
    expectRefusal(() => memory.segment(HEAP / 2 ** 28), { code: 'ERR_RELEASED', verb: 'segment' });
    expectRefusal(() => memory.clearShadow(HEAP, 8), { code: 'ERR_RELEASED', verb: 'clearShadow' });
  });
});
