/**
 * The set of granules that a program touched, and how many bytes they are.
 *
 * Touches come in two shapes, and each is kept as what it is: a page that is touched in places has a bitmap of its 512
 * granules, and pages that one access covers whole are an interval, however many they are.
 *
 *     range   ·····████|████████|████████|██······
 *     pages        0   |   1    |   2    |   3          bitmap of 0, interval [1, 3), bitmap of 3
 *
 * Invariant: memory is bounded whatever the recording says, by MAX_PAGES bitmaps of 64 bytes and twice as many intervals. What
 * is touched beyond that is not counted, and `complete` says so.
 */
import { GRANULE_BYTES } from '../shadow/segment.js';

const PAGE_BYTES = 4096;
const GRANULES_PER_PAGE = PAGE_BYTES / GRANULE_BYTES;
const WORDS_PER_PAGE = GRANULES_PER_PAGE / 32;
/** Pages with a bitmap: 4 GiB of memory touched in places. */
const MAX_PAGES = 2 ** 20;
/** Intervals are sorted and merged when this many are waiting. */
const MERGE_AT = 4096;

/** Pages [from, to). */
interface Interval {
  readonly from: number;
  to: number;
}

export class TouchedMemory {
  /** Page number → index of its bitmap. */
  readonly #slots = new Map<number, number>();
  #bits = new Uint32Array(64 * WORDS_PER_PAGE);
  /** Sorted, apart, up to `#merged`; as they came after that. */
  #whole: Interval[] = [];
  #merged = 0;
  #complete = true;
  // Most accesses are in the page of the one before.
  #lastPage = -1;
  #lastSlot = 0;

  /** Whether all that was touched is counted; if not, {@link sizeBytes} is what is known at least. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Notes that the bytes [address, address + sizeBytes) were touched. Both are below 2^48. */
  touch(address: number, sizeBytes: number): void {
    if (sizeBytes === 0) return;
    const end = address + sizeBytes;
    const firstWhole = Math.ceil(address / PAGE_BYTES);
    const endWhole = Math.floor(end / PAGE_BYTES);
    if (firstWhole >= endWhole) {
      // It covers no page, so it is in one or in two.
      const edge = Math.min(end, (Math.floor(address / PAGE_BYTES) + 1) * PAGE_BYTES);
      this.#touchInPage(address, edge);
      if (edge < end) this.#touchInPage(edge, end);
      return;
    }
    if (address < firstWhole * PAGE_BYTES) this.#touchInPage(address, firstWhole * PAGE_BYTES);
    this.#touchWhole(firstWhole, endWhole);
    if (endWhole * PAGE_BYTES < end) this.#touchInPage(endWhole * PAGE_BYTES, end);
  }

  /** The granules touched, in bytes. */
  sizeBytes(): number {
    this.#merge();
    let bytes = 0;
    for (const { from, to } of this.#whole) bytes += (to - from) * PAGE_BYTES;
    for (const [page, slot] of this.#slots)
      if (!this.#isWhole(page)) bytes += this.#granulesIn(slot) * GRANULE_BYTES;
    return bytes;
  }

  /** The 4 KiB pages that have a touched byte. */
  pageCount(): number {
    this.#merge();
    let pages = 0;
    for (const { from, to } of this.#whole) pages += to - from;
    for (const page of this.#slots.keys()) if (!this.#isWhole(page)) pages++;
    return pages;
  }

  #touchInPage(start: number, end: number): void {
    const page = Math.floor(start / PAGE_BYTES);
    if (page !== this.#lastPage) {
      const slot = this.#slots.get(page) ?? this.#newSlot(page);
      if (slot < 0) return;
      this.#lastPage = page;
      this.#lastSlot = slot;
    }
    const bits = this.#bits;
    const base = this.#lastSlot * GRANULES_PER_PAGE;
    const last = base + Math.floor((end - 1 - page * PAGE_BYTES) / GRANULE_BYTES);
    for (let bit = base + Math.floor((start - page * PAGE_BYTES) / GRANULE_BYTES); bit <= last; bit++)
      bits[bit >>> 5] = (bits[bit >>> 5] as number) | (1 << (bit & 31));
  }

  #newSlot(page: number): number {
    const slot = this.#slots.size;
    if (slot === MAX_PAGES) {
      this.#complete = false;
      return -1;
    }
    if ((slot + 1) * WORDS_PER_PAGE > this.#bits.length) {
      const larger = new Uint32Array(2 * this.#bits.length);
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#slots.set(page, slot);
    return slot;
  }

  #touchWhole(from: number, to: number): void {
    if (this.#merged >= MAX_PAGES) {
      this.#complete = false;
      return;
    }
    this.#whole.push({ from, to });
    if (this.#whole.length - this.#merged >= Math.max(MERGE_AT, this.#merged)) this.#merge();
  }

  /** Sorts the intervals and joins those that touch. */
  #merge(): void {
    const merged: Interval[] = [];
    for (const interval of this.#whole.sort((a, b) => a.from - b.from)) {
      const last = merged.at(-1);
      if (last !== undefined && interval.from <= last.to) last.to = Math.max(last.to, interval.to);
      else merged.push(interval);
    }
    this.#whole = merged;
    this.#merged = merged.length;
  }

  /** Whether an interval covers the page. The intervals are merged. */
  #isWhole(page: number): boolean {
    let low = 0;
    let high = this.#whole.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#whole[middle] as Interval).from <= page) low = middle + 1;
      else high = middle;
    }
    const before = this.#whole[low - 1];
    return before !== undefined && page < before.to;
  }

  #granulesIn(slot: number): number {
    let count = 0;
    for (let word = slot * WORDS_PER_PAGE; word < (slot + 1) * WORDS_PER_PAGE; word++)
      for (let bits = this.#bits[word] as number; bits !== 0; bits &= bits - 1) count++;
    return count;
  }
}
