/**
 * The map of a shadow: which of its blocks are committed and which resident, against the kernel's own numbers, and
 * which application memory is mapped.
 */
import { describe, expect, it } from 'vitest';
import type { ShadowBlock } from '../../lib/native/addon.js';
import { geometry } from '../../lib/native/system.js';
import { POLICIES } from '../../lib/shadow/policies.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { writeCell } from '../support/cells.js';
import { linux, residentPagesIn } from '../support/proc.js';
import { expectRefusal } from '../support/refusals.js';

const PAGE = geometry().pageSizeBytes;
const MiB = 2 ** 20;
const HEAP = 0xc0_0000_0000;
/** Bytes of shadow and metainfo for each byte of application memory. */
const SHADOW_FACTOR = 4;
const METAINFO_FACTOR = 0.5;

const sum = (
  blocks: readonly ShadowBlock[],
  field: 'committedBytes' | 'osCommittedBytes' | 'residentBytes',
) => blocks.reduce((total, block) => total + block[field], 0);

/** 8 MiB and 4 MiB of heap with a hole of 4 MiB between them, and one cell written in each MiB of the first 8. */
function withBlocks(policy: (typeof POLICIES)[number], use: (shadow: Shadow) => void): void {
  const shadow = new Shadow({ policy, heapBytes: 2 ** 30 });
  try {
    shadow.mapShadow(HEAP, 8 * MiB);
    shadow.mapShadow(HEAP + 12 * MiB, 4 * MiB);
    for (let at = HEAP; at < HEAP + 8 * MiB; at += MiB) writeCell(windowsOf(shadow), 'shadow', at, 1);
    use(shadow);
  } finally {
    shadow.release();
  }
}

describe.each(POLICIES)('blocks under %s', (policy) => {
  it('lie where the shadow lies, one behind the other', () => {
    withBlocks(policy, (shadow) => {
      const blocks = shadow.blocks(HEAP, 16 * MiB, 4 * MiB);
      const first = shadow.memToShadow(HEAP);
      expect(blocks.map(({ address }) => address)).toEqual(
        Array.from({ length: 16 }, (_, i) => first + 4 * MiB * i),
      );
    });
  });

  it('have what the policy commits, and the pages that were written', () => {
    const inBlocks = { eager: 4 * MiB, unreserved: 4 * MiB, lazy: 4 * MiB, touch: PAGE }[policy];
    withBlocks(policy, (shadow) => {
      const blocks = shadow.blocks(HEAP, 16 * MiB, 4 * MiB);
      blocks.forEach(({ committedBytes, residentBytes }, i) => {
        const touched = i < 8;
        const mapped = touched || i >= 12;
        const committed = policy === 'eager' || touched || (mapped && policy !== 'touch') ? inBlocks : 0;
        expect({ i, committedBytes, residentBytes }).toEqual({
          i,
          committedBytes: committed,
          residentBytes: touched ? PAGE : 0,
        });
      });
    });
  });

  it('add up to what stats says of the whole', () => {
    withBlocks(policy, (shadow) => {
      const blocks = shadow.blocks(HEAP, 2 ** 30, 64 * MiB);
      const { committedBytes, osCommittedBytes, residentBytes } = shadow.stats();
      expect(sum(blocks, 'residentBytes')).toBe(residentBytes);
      if (policy === 'touch') {
        // No metainfo was written.
        expect(sum(blocks, 'committedBytes')).toBe(committedBytes);
        expect(sum(blocks, 'osCommittedBytes')).toBe(osCommittedBytes);
      } else if (policy !== 'eager') {
        expect(sum(blocks, 'committedBytes')).toBe(12 * MiB * SHADOW_FACTOR);
        expect(committedBytes).toBe(12 * MiB * (SHADOW_FACTOR + METAINFO_FACTOR));
      }
      if (policy === 'lazy') expect(sum(blocks, 'osCommittedBytes')).toBe(sum(blocks, 'committedBytes'));
    });
  });

  it.runIf(linux)('are resident where the kernel’s page map says so', () => {
    withBlocks(policy, (shadow) => {
      for (const { address, residentBytes } of shadow.blocks(HEAP, 16 * MiB, MiB))
        expect(residentBytes / PAGE).toBe(residentPagesIn(address, MiB));
    });
  });
});

describe('blocks', () => {
  const withShadow = (use: (shadow: Shadow) => void) => withBlocks('lazy', use);

  it('cover what of the range begins or ends inside them', () => {
    withShadow((shadow) => {
      const [first, second, ...rest] = shadow.blocks(HEAP + MiB - 8, 16, 4 * MiB);
      expect(rest).toEqual([]);
      expect([first?.committedBytes, second?.committedBytes]).toEqual([4 * MiB, 4 * MiB]);
    });
  });

  it.each([PAGE / 2, 3 * PAGE, 2 ** 48])('are not of %d bytes', (blockBytes) => {
    withShadow((shadow) => {
      const call = () => shadow.blocks(HEAP, MiB, blockBytes);
      expectRefusal(call, { code: 'ERR_INVALID_ARGUMENT', verb: 'blocks' });
    });
  });

  it('are not more than a caller can want', () => {
    withShadow((shadow) => {
      expect(shadow.blocks(HEAP, 2 ** 26 - PAGE, PAGE)).toHaveLength(2 ** 28 / PAGE - 4);
      const call = () => shadow.blocks(HEAP, 2 ** 30, PAGE);
      expectRefusal(call, { code: 'ERR_OUT_OF_RANGE', verb: 'blocks', address: HEAP, sizeBytes: 2 ** 30 });
    });
  });
});

describe('mappedRanges', () => {
  it('are what was mapped and not unmapped since, neighbours as one', () => {
    withBlocks('touch', (shadow) => {
      shadow.mapShadow(HEAP + 8 * MiB, 10);
      shadow.unmapShadow(HEAP + 13 * MiB, MiB);
      expect(shadow.mappedRanges()).toEqual([
        { address: HEAP, sizeBytes: 8 * MiB + 10 },
        { address: HEAP + 12 * MiB, sizeBytes: MiB },
        { address: HEAP + 14 * MiB, sizeBytes: 2 * MiB },
      ]);
    });
  });
});
