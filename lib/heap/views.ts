/**
 * What the public sees of the heap's memory: a buffer for each block that was asked about.
 *
 * Invariants: a buffer covers one allocated block and nothing else, and is detached (length 0) when the block is
 * freed: nobody can write to a free list. While a buffer lives, so does the memory behind it, even if the heap was
 * dropped without release().
 */
import type { OsMemory } from './sys.js';

/** Longest window that lib/native opens. */
const MAX_WINDOW_BYTES = 2 ** 30;

/** From a buffer to whatever holds its memory. */
const keptAlive = new WeakMap<ArrayBuffer, object>();

export class Views {
  readonly #os: OsMemory;
  readonly #memory: object;
  readonly #byBlock = new Map<number, ArrayBuffer[]>();

  /** `memory` is kept alive as long as any buffer. */
  constructor(os: OsMemory, memory: object) {
    this.#os = os;
    this.#memory = memory;
  }

  /** Blocks with buffers. */
  get size(): number {
    return this.#byBlock.size;
  }

  /** Bytes [address, address + sizeBytes) of the allocated block [block, block + blockBytes). */
  open(block: number, blockBytes: number, address: number, sizeBytes: number): Uint8Array {
    const buffers = this.#byBlock.get(block) ?? [];
    const whole = blockBytes <= MAX_WINDOW_BYTES;
    let buffer = whole ? buffers.find((b) => b.byteLength === blockBytes) : undefined;
    if (buffer === undefined) {
      buffer = whole ? this.#os.openWindow(block, blockBytes) : this.#os.openWindow(address, sizeBytes);
      keptAlive.set(buffer, this.#memory);
      buffers.push(buffer);
      this.#byBlock.set(block, buffers);
    }
    return new Uint8Array(buffer, whole ? address - block : 0, sizeBytes);
  }

  /** Detaches the buffers of a block. */
  close(block: number): void {
    for (const buffer of this.#byBlock.get(block) ?? []) this.#os.closeWindow(buffer);
    this.#byBlock.delete(block);
  }

  closeAll(): void {
    for (const block of [...this.#byBlock.keys()]) this.close(block);
  }
}
