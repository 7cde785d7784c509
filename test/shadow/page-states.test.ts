/**
 * The states of pages, of which a segment has 288 KiB, take memory where a page was mapped, and nowhere else.
 */
import { expect, it } from 'vitest';
import { geometry, processMemory } from '../../lib/native/system.js';
import { SEGMENT_BYTES } from '../../lib/shadow/segment.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { linux } from '../support/proc.js';
import { emulated, sanitized } from '../support/sizes.js';
import { unless } from '../support/skips.js';

const HEAP = 0xc0_0000_0000;
const SEGMENTS = 64;
const MiB = 2 ** 20;
/** With larger pages there are fewer states, and a segment's fit into one page. */
const hasSmallPages = geometry().pageSizeBytes === 4096;

/** What becomes resident when a page of so many segments is mapped. */
function residentAfterMapping(segments: number): number {
  const shadow = new Shadow({ policy: 'lazy' });
  const before = processMemory().residentBytes;
  for (let segment = 0; segment < segments; segment++) shadow.mapShadow(HEAP + segment * SEGMENT_BYTES, 8);
  const grown = processMemory().residentBytes - before;
  shadow.release();
  return grown;
}

it(
  'keeps the states of pages that nobody mapped out of memory, in a process that had other shadows before',
  unless(
    linux && hasSmallPages && !emulated && !sanitized,
    'it is about 4 KiB pages, and counts what an emulator or AddressSanitizer takes too',
  ),
  () => {
    // What it gets back the C library keeps, hands out again, and has to clear then.
    for (const segments of [SEGMENTS, 2, 2]) residentAfterMapping(segments);
    // All of them are 18 MiB.
    expect(residentAfterMapping(SEGMENTS) / MiB).toBeLessThan(4);
  },
);
