/**
 * The memory traffic of a detector without the detector: an access writes a cell of each 8-byte granule that it
 * covers, an allocation clears its shadow. What is measured is memory, so what a cell says does not matter.
 */

import {
  GRANULE_BYTES,
  PAGE_MAPPED,
  PAGE_TOUCHED,
  SEGMENT_BYTES,
  type ShadowMemory,
} from '../shadow/segment.js';

/** Any mark that is not zero: a cell that is in use. */
const CELL_MARK = 1;

export class CellWriter {
  readonly #memory: ShadowMemory;

  constructor(memory: ShadowMemory) {
    this.#memory = memory;
  }

  /** Writes the first cell of every granule of [address, address + sizeBytes). Unmapped memory is ignored, as in Go. */
  access(address: number, sizeBytes: number): void {
    const { wordsPerGranule, pageShift } = this.#memory;
    const end = address + sizeBytes;
    let at = address;
    while (at < end) {
      const index = Math.floor(at / SEGMENT_BYTES);
      const segmentEnd = Math.min(end, (index + 1) * SEGMENT_BYTES);
      const segment = this.#memory.segment(index);
      if (segment !== undefined) {
        const { shadow, shadowPages } = segment;
        const first = Math.floor((at - index * SEGMENT_BYTES) / GRANULE_BYTES);
        const last = Math.floor((segmentEnd - 1 - index * SEGMENT_BYTES) / GRANULE_BYTES);
        for (let granule = first; granule <= last; granule++) {
          const word = granule * wordsPerGranule;
          const page = (word * 4) >>> pageShift;
          if (shadowPages[page] === PAGE_MAPPED) this.#memory.touchShadow(segment, word * 4, 4);
          if (shadowPages[page] === PAGE_TOUCHED) shadow[word] = CELL_MARK;
        }
      }
      at = segmentEnd;
    }
  }

  /** Clears the shadow of a block that was just allocated. */
  malloc(address: number, sizeBytes: number): void {
    this.#memory.clearShadow(address, sizeBytes);
  }
}
