/**
 * Go's allocation bitmap (mgc0.c's marking half, MHeap_MapBits): 4 bits for each word of the arena.
 *
 * The bitmap grows downwards from arenaStart. A bitmap word as large as a machine word serves 16 words (8 in the
 * 32-bit form); its k-th quarter holds the k-th bit of each:
 *
 *     63        48 47        32 31                         16 15         0
 *     +-----------+------------+-----------------------------+-----------+
 *     |  special  |   marked   | no pointers | block boundary| allocated |
 *     +-----------+------------+-----------------------------+-----------+
 *
 * The second bit says "no pointers" of an allocated word, "block boundary" of one that is not. Special and marked
 * are the collector's: here always 0.
 *
 * Invariants: allocated is set at the first word of an allocated block and nowhere else, which makes a double free
 * and an interior pointer visible; boundary at the first word of every other block of a span in use, and where
 * the rest of the span begins; all bits of a free span are 0. Bits below arenaUsed are mapped.
 */
import type { Sys } from './sys.js';
import { PER_STRIDE, STRIDE_BYTES, type Windows } from './windows.js';

/** Bitmap is mapped in steps of 8 KiB, enough for 128 KiB of arena (64 KiB in the 32-bit form). */
const BITMAP_CHUNK = 8192;

export class MapBits {
  /** Bytes of bitmap that are mapped, downwards from arenaStart. */
  mappedBytes = 0;
  readonly #sys: Sys;
  readonly #windows: Windows;
  readonly #reserved: boolean;

  constructor(sys: Sys, windows: Windows, reserved: boolean) {
    this.#sys = sys;
    this.#windows = windows;
    this.#reserved = reserved;
  }

  /** MHeap_MapBits: maps the bitmap of the first `usedBytes` of the arena. */
  map(usedBytes: number): void {
    const chunks = Math.ceil(usedBytes / (this.#windows.wordBytes * 2) / BITMAP_CHUNK);
    const wanted = this.#sys.roundUp(chunks * BITMAP_CHUNK);
    if (wanted <= this.mappedBytes) return;
    this.#sys.sysMap(this.#windows.arenaStart - wanted, wanted - this.mappedBytes, this.#reserved, true);
    this.mappedBytes = wanted;
  }

  /** Takes back the last `map`, which found `before` bytes mapped. */
  unmapTo(before: number): void {
    if (this.mappedBytes === before) return;
    this.#sys.sysFault(this.#windows.arenaStart - this.mappedBytes, this.mappedBytes - before);
    this.mappedBytes = before;
  }

  /** Marks the starts of n blocks of sizeBytes, and of what is left over after them, if anything. */
  markspan(address: number, sizeBytes: number, n: number, leftover: boolean): void {
    const count = leftover ? n + 1 : n;
    for (let i = 0; i < count; i++) this.#set(address + i * sizeBytes, 0, 1);
  }

  /** Forgets every block of a range of whole pages. */
  unmarkspan(address: number, sizeBytes: number): void {
    const m = this.#windows;
    const bitmapBytesPer = m.wordBytes * 2;
    let off = address - m.arenaStart;
    const end = off + sizeBytes;
    while (off < end) {
      const w = Math.floor(off * PER_STRIDE);
      const b = off - w * STRIDE_BYTES;
      const size = Math.min(end - off, STRIDE_BYTES - b);
      const words = m.bits[w] as Int32Array;
      words.fill(0, words.length - (b + size) / bitmapBytesPer / 4, words.length - b / bitmapBytesPer / 4);
      off += size;
    }
  }

  /** The block at `address` is allocated. */
  markallocated(address: number, noPointers: boolean): void {
    this.#set(address, 1, noPointers ? 1 : 0);
  }

  /** The block at `address` is free. */
  markfreed(address: number): void {
    this.#set(address, 0, 1);
  }

  isAllocated(address: number): boolean {
    return (this.#get(address) & 1) !== 0;
  }

  isBoundary(address: number): boolean {
    return this.#get(address) === 2;
  }

  isNoPointers(address: number): boolean {
    return this.#get(address) === 3;
  }

  /** Bits set for [address, address + sizeBytes), whole pages. For `verify`. */
  countBits(address: number, sizeBytes: number): number {
    const m = this.#windows;
    const bitmapBytesPer = m.wordBytes * 2;
    let count = 0;
    let off = address - m.arenaStart;
    const end = off + sizeBytes;
    while (off < end) {
      const w = Math.floor(off * PER_STRIDE);
      const b = off - w * STRIDE_BYTES;
      const size = Math.min(end - off, STRIDE_BYTES - b);
      const words = m.bits[w] as Int32Array;
      const to = words.length - b / bitmapBytesPer / 4;
      for (let i = words.length - (b + size) / bitmapBytesPer / 4; i < to; i++) {
        for (let word = words[i] as number; word !== 0; word &= word - 1) count++;
      }
      off += size;
    }
    return count;
  }

  #get(address: number): number {
    const m = this.#windows;
    const off = address - m.arenaStart;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    const word = (m.bits[w] as Int32Array)[m.bitTop - ((b >> m.bitShift) << m.bitStep)] as number;
    const shift = (b >> m.wordShift) & m.wordMask;
    return ((word >>> shift) & 1) | (((word >>> (shift + m.boundaryShift)) & 1) << 1);
  }

  #set(address: number, allocated: number, second: number): void {
    const m = this.#windows;
    const off = address - m.arenaStart;
    const w = Math.floor(off * PER_STRIDE);
    const b = off - w * STRIDE_BYTES;
    const words = m.bits[w] as Int32Array;
    const index = m.bitTop - ((b >> m.bitShift) << m.bitStep);
    const shift = (b >> m.wordShift) & m.wordMask;
    const cleared = (words[index] as number) & ~((1 << shift) | (1 << (shift + m.boundaryShift)));
    words[index] = cleared | (allocated << shift) | (second << (shift + m.boundaryShift));
  }
}
