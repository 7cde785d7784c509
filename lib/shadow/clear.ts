/**
 * Clearing shadow: what Malloc does to the shadow of its block.
 *
 * Pages that were never touched hold zeros already and are skipped, which is most of a large block; touched ones are
 * written, or handed back whole where there are enough of them.
 */

import { PAGE_TOUCHED, type ShadowSegment } from './segment.js';

/**
 * From how many touched pages in a row on they go back to the system instead of being written: a system call and
 * the fault of the next touch cost about as much as writing 64 KiB.
 */
const DISCARD_PAGES = 16;

/**
 * Makes the bytes [begin, end) of a segment's shadow window read as zeros.
 * @param discard makes whole touched pages read as zeros and PAGE_MAPPED
 */
export function clearWindow(
  segment: ShadowSegment,
  begin: number,
  end: number,
  pageShift: number,
  discard: (firstPage: number, pageCount: number) => void,
): void {
  const { shadow, shadowPages } = segment;
  const pageBytes = 1 << pageShift;
  for (let at = begin; at < end;) {
    let page = at >>> pageShift;
    if (shadowPages[page] !== PAGE_TOUCHED) {
      const endPage = Math.ceil(end / pageBytes);
      while (page < endPage && shadowPages[page] !== PAGE_TOUCHED) page++;
      at = page * pageBytes;
      continue;
    }
    let last = page;
    while ((last + 1) * pageBytes < end && shadowPages[last + 1] === PAGE_TOUCHED) last++;
    const runEnd = Math.min(end, (last + 1) * pageBytes);
    // Whole pages of the run; its first and last may be shared with neighbours.
    const firstWhole = Math.ceil(at / pageBytes);
    const wholeCount = Math.floor(runEnd / pageBytes) - firstWhole;
    if (wholeCount >= DISCARD_PAGES) {
      shadow.fill(0, at >>> 2, (firstWhole * pageBytes) >>> 2);
      discard(firstWhole, wholeCount);
      shadow.fill(0, ((firstWhole + wholeCount) * pageBytes) >>> 2, runEnd >>> 2);
    } else {
      shadow.fill(0, at >>> 2, runEnd >>> 2);
    }
    at = runEnd;
  }
}
