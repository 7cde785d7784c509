/**
 * A set of bytes, kept by granule: those on which accesses raced, or those that reports were about.
 *
 * A byte of mask for each granule, in pieces for a page of memory each: a program can race on more granules than a Map
 * can hold (2^24).
 */
import { GRANULE_BYTES } from '../shadow/segment.js';
import { BYTES } from './cell.js';

/** Application bytes of a piece. */
const PIECE_BYTES = 4096;

export class RacyBytes {
  /** Number of a piece of memory to the masks of its granules. */
  readonly #pieces = new Map<number, Uint8Array>();

  /** Adds the bytes of `mask` of the granule at `address`. */
  add(address: number, mask: number): void {
    const number = Math.floor(address / PIECE_BYTES);
    let masks = this.#pieces.get(number);
    if (masks === undefined) {
      masks = new Uint8Array(PIECE_BYTES / GRANULE_BYTES);
      this.#pieces.set(number, masks);
    }
    const granule = (address - number * PIECE_BYTES) / GRANULE_BYTES;
    masks[granule] = (masks[granule] as number) | (mask & BYTES);
  }

  /** Whether one of the bytes of `mask` of the granule at `address` was added. */
  overlaps(address: number, mask: number): boolean {
    const number = Math.floor(address / PIECE_BYTES);
    const masks = this.#pieces.get(number);
    return ((masks?.[(address - number * PIECE_BYTES) / GRANULE_BYTES] ?? 0) & mask) !== 0;
  }

  /** The addresses, ascending, without repeats. */
  addresses(): number[] {
    const addresses: number[] = [];
    for (const number of [...this.#pieces.keys()].sort((a, b) => a - b)) {
      const masks = this.#pieces.get(number) as Uint8Array;
      for (const [granule, mask] of masks.entries()) {
        if (mask === 0) continue;
        const address = number * PIECE_BYTES + granule * GRANULE_BYTES;
        for (let byte = 0; byte < 8; byte++) if ((mask & (1 << byte)) !== 0) addresses.push(address + byte);
      }
    }
    return addresses;
  }
}
