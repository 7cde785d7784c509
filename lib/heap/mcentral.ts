/**
 * Go's MCentral (mcentral.c): for one size class, the spans whose objects the caches share.
 *
 * Invariants: a span with a free object is in `nonempty`, one without in `empty`; a span's `ref` counts its objects
 * that are in a cache or allocated; `nfree` counts the others; a span without ref goes back to the page heap.
 */
import { LazyShadowError } from '../native/errors.js';
import type { MHeap } from './mheap.js';

export class MCentral {
  readonly sizeclass: number;
  readonly nonempty: number;
  readonly empty: number;
  /** Objects in the spans' free lists. */
  nfree = 0;
  /** First of the objects that the last allocList took. */
  first = 0;
  readonly #heap: MHeap;
  readonly #size: number;

  constructor(heap: MHeap, sizeclass: number) {
    this.#heap = heap;
    this.sizeclass = sizeclass;
    this.#size = heap.classes.classToSize[sizeclass] as number;
    this.nonempty = heap.spans.newList();
    this.empty = heap.spans.newList();
  }

  /**
   * MCentral_AllocList: takes up to n free objects, linked from `first`, and returns how many; 0 if there is no
   * memory.
   */
  allocList(n: number): number {
    const { spans, windows } = this.#heap;
    if (spans.isEmpty(this.nonempty) && !this.#grow()) return 0;
    let moved = 0;
    let last = 0;
    while (moved < n) {
      const s = spans.next(this.nonempty);
      if (s === this.nonempty) break;
      // A run of the span's own list, which is linked already: only its end needs a new link.
      const first = spans.freelist(s);
      let at = first;
      let run = 0;
      let next = at;
      while (next !== 0 && moved + run < n) {
        at = next;
        if (!windows.isFreeBlock(at)) throw windows.brokenList(at);
        next = windows.link(at);
        run++;
      }
      if (last === 0) this.first = first;
      else windows.setLink(last, first);
      windows.setLink(at, 0);
      last = at;
      moved += run;
      spans.setFreelist(s, next);
      spans.setRef(s, spans.ref(s) + run);
      if (next === 0) {
        spans.remove(s);
        spans.insert(this.empty, s);
      }
    }
    this.nfree -= moved;
    return moved;
  }

  /** MCentral_Free: an object of a cache returns to its span, and the span to the page heap if it was the last. */
  free(address: number): void {
    const { spans, windows, arena } = this.#heap;
    const s = this.#heap.lookup(address - arena.arenaStart);
    const first = spans.freelist(s);
    if (s === 0 || spans.ref(s) === 0) {
      throw new LazyShadowError('ERR_CORRUPT', 'MCentral_Free - invalid free. Please report this.', {
        address,
      });
    }
    if (first === 0) {
      spans.remove(s);
      spans.insert(this.nonempty, s);
    }
    windows.setLink(address, first);
    spans.setFreelist(s, address);
    this.nfree++;
    const ref = spans.ref(s) - 1;
    spans.setRef(s, ref);
    if (ref === 0) this.#giveBack(s);
  }

  #giveBack(s: number): void {
    const { spans, windows, arena, pageSize } = this.#heap;
    const start = windows.pageAddress(spans.start(s));
    const bytes = spans.npages(s) * pageSize;
    spans.remove(s);
    arena.bits.unmarkspan(start, bytes);
    spans.setNeedzero(s, 1);
    spans.setFreelist(s, 0);
    this.nfree -= Math.floor(bytes / this.#size);
    this.#heap.free(s);
  }

  /** MCentral_Grow: a span from the page heap, carved into objects that are zero but for their link. */
  #grow(): boolean {
    const { spans, windows, arena, classes, pageSize } = this.#heap;
    const npages = classes.classToAllocNpages[this.sizeclass] as number;
    const s = this.#heap.alloc(npages, this.sizeclass, true);
    if (s === 0) return false;
    const size = this.#size;
    const n = Math.floor((npages * pageSize) / size);
    const start = windows.pageAddress(spans.start(s));
    arena.bits.markspan(start, size, n, size * n < npages * pageSize);
    for (let i = 0; i < n - 1; i++) windows.setLink(start + i * size, start + (i + 1) * size);
    windows.setLink(start + (n - 1) * size, 0);
    spans.setFreelist(s, start);
    spans.setLimit(s, start + n * size);
    this.nfree += n;
    spans.insert(this.nonempty, s);
    return true;
  }
}
