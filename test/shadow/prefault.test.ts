/**
 * A page of shadow that is touched for the first time is made at once, and no other: so a detector meets no fault there.
 */
import { describe, expect, it } from 'vitest';
import { geometry } from '../../lib/native/system.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { POLICIES } from '../../lib/shadow/policies.js';
import { HEAP_SIZE } from '../support/sizes.js';
import { unlessMemoryFiles } from '../support/skips.js';

const HEAP = 0xc0_0000_0000;
const { pageSizeBytes: PAGE } = geometry();

// The files in memory that `touch` uses have their pages made by the same call.
describe('a page that is touched', unlessMemoryFiles, () => {
  it.each(POLICIES)('is resident at once, and no other, under %s', (policy) => {
    const shadow = new Shadow({ ...HEAP_SIZE, policy });
    shadow.mapShadow(HEAP, 64 * PAGE);
    const windows = windowsOf(shadow);
    const segment = windows.segment(HEAP / 2 ** 28);
    if (segment === undefined) throw new Error('the heap has no segment');
    windows.touchShadow(segment, 0, 4);
    expect(shadow.stats().residentBytes).toBe(PAGE);
    windows.touchShadow(segment, 5 * PAGE, 3 * PAGE);
    // What is touched already is not made again.
    windows.touchShadow(segment, 5 * PAGE, 4 * PAGE);
    expect(shadow.stats().residentBytes).toBe(5 * PAGE);
    shadow.release();
  });
});
