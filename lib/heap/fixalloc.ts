/**
 * Go's mfixalloc.c: records of one size (MSpan, MCache), by number, in real memory that is never given back.
 *
 * Go asks the system for 16 KiB wherever it likes and hands out pointers. Here all chunks of one kind lie in one
 * reservation, of which 16 KiB are committed at a time: a record is then a number, its fields are at fixed
 * places of two typed arrays that never change, and no access goes through a second table.
 *
 * Invariants: record 0 is nil; `inUse` + free + never used = committed records; a record comes back zeroed.
 */
import { LazyShadowError } from '../native/errors.js';
import type { Sys, WindowSet } from './sys.js';

/** FixAllocChunk: what is asked of the system at a time, rounded up to its pages. */
const FIX_ALLOC_CHUNK = 16 * 1024;

/** Most bytes of records: what one window may span. */
const MAX_REGION_BYTES = 2 ** 30;

/** A machine that refuses even this much address space (ulimit -v) cannot have a heap. */
const MIN_REGION_BYTES = 2 ** 20;

export class FixAlloc {
  /** Bytes of a record, a multiple of 8. */
  readonly recordBytes: number;
  /** Most records there can be, nil included. */
  readonly maxRecords: number;
  /** The records as 32-bit words and as doubles; only committed records may be touched. */
  readonly i32: Int32Array;
  readonly f64: Float64Array;

  readonly #sys: Sys;
  readonly #address: number;
  readonly #windows: WindowSet;
  readonly #buffer: ArrayBuffer;
  readonly #words: number;
  #sysBytes = 0;
  #used = 0;
  #freeList = 0;
  #inUse = 0;

  /** `fixedRecords` records after nil belong to the owner from the start, count as no use, and are never freed. */
  constructor(sys: Sys, recordBytes: number, wantedRecords: number, fixedRecords = 0) {
    this.#sys = sys;
    this.recordBytes = recordBytes;
    this.#words = recordBytes >> 2;
    const chunks = Math.ceil((wantedRecords * recordBytes) / FIX_ALLOC_CHUNK);
    let regionBytes = sys.roundUp(Math.min(MAX_REGION_BYTES, chunks * FIX_ALLOC_CHUNK));
    let region = sys.sysReserve(undefined, regionBytes);
    while (region === null && regionBytes > MIN_REGION_BYTES) {
      regionBytes = sys.roundUp(regionBytes / 2);
      region = sys.sysReserve(undefined, regionBytes);
    }
    if (region === null) {
      throw new LazyShadowError(
        'ERR_OUT_OF_MEMORY',
        `runtime: cannot reserve ${regionBytes} bytes of address space for the heap's own records. Raise ulimit -v.`,
        { verb: 'sysReserve', sizeBytes: regionBytes },
      );
    }
    this.#address = region.address;
    this.maxRecords = Math.floor(regionBytes / recordBytes);
    this.#windows = sys.os.newWindows();
    this.#buffer = this.#windows.open(region.address, regionBytes);
    this.i32 = new Int32Array(this.#buffer);
    this.f64 = new Float64Array(this.#buffer);
    this.#used = 1 + fixedRecords;
    while (this.#used * recordBytes > this.#sysBytes) {
      if (this.#grow()) continue;
      this.close();
      throw new LazyShadowError(
        'ERR_OUT_OF_MEMORY',
        "runtime: no memory for the heap's own records. Free some memory, or raise the limit.",
        { verb: 'sysMap', address: this.#address, sizeBytes: FIX_ALLOC_CHUNK },
      );
    }
  }

  /** Bytes of the records in use: MSpanInuse, MCacheInuse. */
  get inuseBytes(): number {
    return this.#inUse * this.recordBytes;
  }

  /** Bytes committed: MSpanSys, MCacheSys. */
  get sysBytes(): number {
    return this.#sysBytes;
  }

  /** A zeroed record, or 0 if there is no memory for one. */
  alloc(): number {
    let record = this.#freeList;
    if (record !== 0) {
      this.#freeList = this.i32[record * this.#words] as number;
      this.i32.fill(0, record * this.#words, (record + 1) * this.#words);
    } else {
      if ((this.#used + 1) * this.recordBytes > this.#sysBytes && !this.#grow()) return 0;
      record = this.#used++;
    }
    this.#inUse++;
    return record;
  }

  free(record: number): void {
    this.i32[record * this.#words] = this.#freeList;
    this.#freeList = record;
    this.#inUse--;
  }

  /** A view of one record, for owners that keep arrays in it. */
  recordArrays(record: number): {
    readonly buffer: ArrayBuffer;
    readonly byteOffset: number;
  } {
    return { buffer: this.#buffer, byteOffset: record * this.recordBytes };
  }

  /** Checks the free list and the counts; returns what is wrong. */
  verify(name: string): string[] {
    let free = 0;
    for (let r = this.#freeList; r !== 0; r = this.i32[r * this.#words] as number) {
      if (r < 0 || r >= this.#used || ++free > this.#used)
        return [`${name}: broken free list at record ${r}`];
    }
    return [];
  }

  /** Detaches the arrays. The memory itself goes with `Sys.releaseAll`. */
  close(): void {
    this.#windows.close();
  }

  #grow(): boolean {
    const chunk = this.#sys.roundUp(FIX_ALLOC_CHUNK);
    if (this.#sysBytes + chunk > this.#buffer.byteLength) return false;
    try {
      this.#sys.sysMap(this.#address + this.#sysBytes, chunk, true);
    } catch (error) {
      if (error instanceof LazyShadowError && error.code === 'ERR_OUT_OF_MEMORY') return false;
      throw error;
    }
    this.#sysBytes += chunk;
    return true;
  }
}
