/**
 * What the public sees of the heap's memory: a buffer for each block that was asked about.
 *
 * Invariants: a buffer covers one allocated block and nothing else, and is detached (length 0) when the block is
 * freed: nobody can write to a free list. While a buffer lives, so does the memory behind it, even if the heap was
 * dropped without release().
 */
import type { OsMemory, WindowSet } from './sys.js';

/** Longest window that lib/native opens. */
export const MAX_WINDOW_BYTES = 2 ** 30;

/** From a buffer to whatever holds its memory. */
const keptAlive = new WeakMap<ArrayBuffer, object>();

export class Views {
  readonly #os: OsMemory;
  readonly #memory: object;
  readonly #byBlock = new Map<number, { readonly windows: WindowSet; whole: ArrayBuffer | undefined }>();

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
    const seen = this.#byBlock.get(block) ?? {
      windows: this.#os.newWindows(),
      whole: undefined,
    };
    const fits = blockBytes <= MAX_WINDOW_BYTES;
    let buffer = seen.whole;
    if (buffer === undefined || buffer.byteLength === 0) {
      buffer = fits ? seen.windows.open(block, blockBytes) : seen.windows.open(address, sizeBytes);
      if (fits) seen.whole = buffer;
      keptAlive.set(buffer, this.#memory);
      this.#byBlock.set(block, seen);
    }
    return new Uint8Array(buffer, fits ? address - block : 0, sizeBytes);
  }

  /** Detaches the buffers of a block. */
  close(block: number): void {
    this.#byBlock.get(block)?.windows.close();
    this.#byBlock.delete(block);
  }

  closeAll(): void {
    for (const { windows } of this.#byBlock.values()) windows.close();
    this.#byBlock.clear();
  }
}
