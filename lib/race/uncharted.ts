/**
 * The windows of a detector that begins midway: what MapShadow named before is not known, so all memory counts as mapped
 * that the layout has shadow for. Accesses that mean nothing may be recorded so, and none is left out.
 */
import { SEGMENT_BYTES } from '../shadow/segment.js';
import { type AddressRange, type Window, Windows } from './window.js';

export class UnchartedWindows extends Windows {
  readonly #application: readonly AddressRange[];
  /** Segments that are mapped already. */
  readonly #claimed = new Set<number>();

  /** @param application the memory that the layout has shadow for */
  constructor(application: readonly AddressRange[]) {
    super();
    this.#application = application;
  }

  override at(index: number): Window | undefined {
    return super.at(index) ?? (this.#claim(index) ? super.at(index) : undefined);
  }

  override map(address: number, sizeBytes: number): void {
    const end = address + sizeBytes;
    for (let index = Math.floor(address / SEGMENT_BYTES); index * SEGMENT_BYTES < end; index++)
      this.#claim(index);
  }

  /** Maps a segment, unless it is mapped already; whether it was not. */
  #claim(index: number): boolean {
    if (this.#claimed.has(index)) return false;
    this.#claimed.add(index);
    const base = index * SEGMENT_BYTES;
    for (const range of this.#application) {
      const start = Math.max(range.start, base);
      const end = Math.min(range.end, base + SEGMENT_BYTES);
      if (start < end) super.map(start, end - start);
    }
    return true;
  }
}
