import { afterEach, describe, expect, it } from 'vitest';
import { mallocinit } from '../../lib/heap/mallocinit.js';
import { type HeapParts, verifyHeap } from '../../lib/heap/verify.js';

let parts: HeapParts | undefined;
afterEach(() => parts?.heap.sys.releaseAll());

/** A heap with a span of objects, some cached, a large object, and free spans. */
function someHeap(): { parts: HeapParts; span: number; block: number } {
  const made = mallocinit({}, {});
  parts = made;
  const { heap, caches } = made;
  const block = caches[0]?.alloc(8, true, false) ?? 0;
  const big = heap.alloc(20, 0, true);
  const other = heap.alloc(3, 0, true);
  heap.arena.bits.markallocated(heap.windows.pageAddress(heap.spans.start(big)), false);
  heap.arena.bits.markallocated(heap.windows.pageAddress(heap.spans.start(other)), false);
  made.large.nmalloc = 2;
  made.large.allocBytes = 23 * 4096;
  return { parts: made, span: heap.lookup(block - heap.arena.arenaStart), block };
}

const problemsOf = (made: HeapParts) => verifyHeap(made).problems.join('\n');

describe('verify', () => {
  it('finds nothing wrong with a heap that is whole', () => {
    expect(problemsOf(someHeap().parts)).toBe('');
  });

  const damages: [string, RegExp, (h: ReturnType<typeof someHeap>) => void][] = [
    [
      'a count of the page heap',
      /HeapInuse/,
      ({ parts }) => {
        parts.heap.heapInuse += 4096;
      },
    ],
    [
      'a count of the released',
      /HeapReleased/,
      ({ parts }) => {
        parts.heap.heapReleased += 4096;
      },
    ],
    [
      'a count of the central list',
      /nfree/,
      ({ parts }) => {
        const c = parts.central[8];
        if (c) c.nfree++;
      },
    ],
    [
      'a count of the cache',
      /cachedBytes/,
      ({ parts }) => {
        const c = parts.caches[0];
        if (c) c.cachedBytes++;
      },
    ],
    ['a ref', /ref \+ free/, ({ parts, span }) => parts.heap.spans.setRef(span, 1)],
    ['a lost block', /allocated/, ({ parts, block }) => parts.heap.arena.bits.markfreed(block)],
    ['a stray bit', /bits/, ({ parts, block }) => parts.heap.arena.bits.markallocated(block + 8, false)],
    [
      'a page of another span',
      /not its own|does not begin/,
      ({ parts, span }) => parts.heap.windows.setSpanAt(parts.heap.spans.start(span), span + 1),
    ],
    ['a span in no list', /free spans in lists|spans is/, ({ parts, span }) => parts.heap.spans.remove(span)],
    [
      'a cut free list',
      /ref \+ free|nlist|allocated/,
      ({ parts, span }) => {
        const { spans, windows } = parts.heap;
        windows.setLink(spans.freelist(span), 0);
      },
    ],
    [
      'a free object that was written to',
      /not zero/,
      ({ parts, span }) => {
        const { spans, windows, arena } = parts.heap;
        const off = spans.freelist(span) - arena.arenaStart;
        (windows.i32[0] as Int32Array)[off / 4 + 6] = 1;
      },
    ],
    [
      'bits in a free span',
      /bits are set/,
      ({ parts }) => {
        const { spans, arena, windows } = parts.heap;
        for (let s = 1; s < 600; s++) {
          if (spans.state(s) === 1 && spans.npages(s) > 0) {
            arena.bits.markallocated(windows.pageAddress(spans.start(s)), false);
            return;
          }
        }
      },
    ],
    [
      'memory that nobody counts',
      /committed bytes/,
      ({ parts }) => {
        parts.heap.sys.sysAlloc(65_536);
      },
    ],
    [
      'a count of large objects',
      /large objects/,
      ({ parts }) => {
        parts.large.nmalloc++;
      },
    ],
  ];
  it.each(damages)('finds %s', (_what, message, damage) => {
    const heap = someHeap();
    damage(heap);
    expect(problemsOf(heap.parts)).toMatch(message);
  });
});
