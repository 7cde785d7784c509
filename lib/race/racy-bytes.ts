/**
 * A set of bytes, kept by granule: those on which accesses raced, or those that reports were about.
 */
import { BYTES } from './cell.js';

export class RacyBytes {
  /** Address of a granule to the mask of its racy bytes. */
  readonly #masks = new Map<number, number>();

  /** Adds the bytes of `mask` of the granule at `address`. */
  add(address: number, mask: number): void {
    const known = this.#masks.get(address) ?? 0;
    if ((mask & ~known & BYTES) !== 0) this.#masks.set(address, known | (mask & BYTES));
  }

  /** Whether one of the bytes of `mask` of the granule at `address` was added. */
  overlaps(address: number, mask: number): boolean {
    return ((this.#masks.get(address) ?? 0) & mask) !== 0;
  }

  /** The addresses, ascending, without repeats. */
  addresses(): number[] {
    const addresses: number[] = [];
    for (const granule of [...this.#masks.keys()].sort((a, b) => a - b)) {
      const mask = this.#masks.get(granule) as number;
      for (let byte = 0; byte < 8; byte++) if ((mask & (1 << byte)) !== 0) addresses.push(granule + byte);
    }
    return addresses;
  }
}
