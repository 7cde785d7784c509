/**
 * Go's MSpan and MSpanList (malloc.h, mheap.c): a span is a run of pages, here a record number.
 *
 *     word   0    1    2     3      4    5         6     7        8         9   double 5   6           7
 *     field  next prev start npages ref  sizeclass state needzero npreleased –  freelist   unusedsince limit
 *
 * `start` counts pages from arenaStart (Go counts from address 0 and takes arenaStart away again in 64-bit form).
 * `freelist` and `limit` are addresses, in doubles: exact below 2^53.
 *
 * Invariants: a span is in exactly one list, or in none while it holds one large object; in the page map it is at
 * each of its pages while in use and at its first and last while free; a free span has no free neighbour.
 */
import { FixAlloc } from './fixalloc.js';
import type { Sys } from './sys.js';

/** Bytes and words of a span's record. */
export const MSPAN_BYTES = 64;
const WORDS = MSPAN_BYTES / 4;
const DOUBLES = MSPAN_BYTES / 8;

export const MSpanInUse = 0;
export const MSpanFree = 1;
export const MSpanListHead = 2;
export const MSpanDead = 3;
export type MSpanState = typeof MSpanInUse | typeof MSpanFree | typeof MSpanListHead | typeof MSpanDead;

const NEXT = 0;
const PREV = 1;
const START = 2;
const NPAGES = 3;
const REF = 4;
const SIZECLASS = 5;
const STATE = 6;
const NEEDZERO = 7;
const NPRELEASED = 8;
const FREELIST = 5;
const UNUSEDSINCE = 6;
const LIMIT = 7;

export class MSpans {
  // declare: see heap.ts.
  declare readonly records: FixAlloc;
  declare readonly i32: Int32Array;
  declare readonly f64: Float64Array;
  #heads = 0;

  /** `heads` records are list heads, as the sentinel spans that Go keeps inside MHeap and MCentral. */
  constructor(sys: Sys, maxSpans: number, heads: number) {
    this.records = new FixAlloc(sys, MSPAN_BYTES, maxSpans + heads + 1, heads);
    this.i32 = this.records.i32;
    this.f64 = this.records.f64;
  }

  /** MSpanList_Init: the next head, as an empty list. */
  newList(): number {
    const head = ++this.#heads;
    this.i32[head * WORDS + STATE] = MSpanListHead;
    this.i32[head * WORDS + NEXT] = head;
    this.i32[head * WORDS + PREV] = head;
    return head;
  }

  isEmpty(list: number): boolean {
    return this.i32[list * WORDS + NEXT] === list;
  }

  /** Puts a span at the front of a list. */
  insert(list: number, span: number): void {
    const first = this.i32[list * WORDS + NEXT] as number;
    this.i32[span * WORDS + NEXT] = first;
    this.i32[span * WORDS + PREV] = list;
    this.i32[list * WORDS + NEXT] = span;
    this.i32[first * WORDS + PREV] = span;
  }

  /** Takes a span out of the list it is in; nothing if it is in none. */
  remove(span: number): void {
    const next = this.i32[span * WORDS + NEXT] as number;
    if (next === 0) return;
    const prev = this.i32[span * WORDS + PREV] as number;
    this.i32[prev * WORDS + NEXT] = next;
    this.i32[next * WORDS + PREV] = prev;
    this.i32[span * WORDS + NEXT] = 0;
    this.i32[span * WORDS + PREV] = 0;
  }

  /** MSpan_Init of a record that `records.alloc()` gave. */
  init(span: number, start: number, npages: number): void {
    this.i32[span * WORDS + START] = start;
    this.i32[span * WORDS + NPAGES] = npages;
  }

  /** The span after `span` in its list, or the head itself. */
  next(span: number): number {
    return this.i32[span * WORDS + NEXT] as number;
  }
  prev(span: number): number {
    return this.i32[span * WORDS + PREV] as number;
  }
  start(span: number): number {
    return this.i32[span * WORDS + START] as number;
  }
  setStart(span: number, page: number): void {
    this.i32[span * WORDS + START] = page;
  }
  npages(span: number): number {
    return this.i32[span * WORDS + NPAGES] as number;
  }
  setNpages(span: number, npages: number): void {
    this.i32[span * WORDS + NPAGES] = npages;
  }
  /** Objects of the span that are in a cache or allocated. */
  ref(span: number): number {
    return this.i32[span * WORDS + REF] as number;
  }
  setRef(span: number, ref: number): void {
    this.i32[span * WORDS + REF] = ref;
  }
  sizeclass(span: number): number {
    return this.i32[span * WORDS + SIZECLASS] as number;
  }
  setSizeclass(span: number, sizeclass: number): void {
    this.i32[span * WORDS + SIZECLASS] = sizeclass;
  }
  state(span: number): MSpanState {
    return this.i32[span * WORDS + STATE] as MSpanState;
  }
  isInUse(span: number): boolean {
    return this.i32[span * WORDS + STATE] === MSpanInUse;
  }
  setState(span: number, state: MSpanState): void {
    this.i32[span * WORDS + STATE] = state;
  }
  /** 1 unless the whole span is known to hold zeros. */
  needzero(span: number): number {
    return this.i32[span * WORDS + NEEDZERO] as number;
  }
  setNeedzero(span: number, needzero: number): void {
    this.i32[span * WORDS + NEEDZERO] = needzero;
  }
  /** Pages of a free span that went back to the operating system. */
  npreleased(span: number): number {
    return this.i32[span * WORDS + NPRELEASED] as number;
  }
  setNpreleased(span: number, npages: number): void {
    this.i32[span * WORDS + NPRELEASED] = npages;
  }
  /** First object of the span that is in no cache and not allocated, 0 if none. */
  freelist(span: number): number {
    return this.f64[span * DOUBLES + FREELIST] as number;
  }
  setFreelist(span: number, address: number): void {
    this.f64[span * DOUBLES + FREELIST] = address;
  }
  /** When the span became free, in milliseconds of the heap's clock; 0 while in use. */
  unusedsince(span: number): number {
    return this.f64[span * DOUBLES + UNUSEDSINCE] as number;
  }
  setUnusedsince(span: number, ms: number): void {
    this.f64[span * DOUBLES + UNUSEDSINCE] = ms;
  }
  /** End of the last object in a span of small objects. */
  limit(span: number): number {
    return this.f64[span * DOUBLES + LIMIT] as number;
  }
  setLimit(span: number, address: number): void {
    this.f64[span * DOUBLES + LIMIT] = address;
  }
}
