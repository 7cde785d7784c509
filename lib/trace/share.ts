/**
 * A share of a program's addresses, so that several detectors can check one recording: each takes the accesses to its
 * own blocks, and every goroutine, call and synchronisation.
 *
 * An access races with earlier ones to the same bytes, and by what happened before: so the detector that owns the
 * bytes finds all their races, whatever the others do. Blocks go round the shares in turn, because a program is seldom
 * busy in one half of its addresses for long, and often in one block.
 */
import { PLAIN_WRITE, READ } from '../race/access.js';
import type { Detector } from '../race/detector.js';
import { EVENT_WORDS, Op } from './format.js';
import { allocator, numberOf, type Progress, replayRare } from './replay-events.js';

/**
 * log2 of a block: 64 KiB, whose shadow is whole pages whatever a page is, so that only their owner touches them, and
 * which is large enough for Malloc to give its pages back (clearing.ts).
 */
export const BLOCK_SHIFT = 16;
const BLOCK_BYTES = 2 ** BLOCK_SHIFT;

/** Places of the table that says whose a block is: blocks share one at 64 MiB, where the turns go on unevenly. */
const TABLE_BLOCKS = 1024;

/** One of `count` shares, counted from 0. */
export class Share {
  /** 1 for the blocks of this share, by the low bits of a block's number. */
  readonly #owns = new Uint8Array(TABLE_BLOCKS);

  constructor(index: number, count: number) {
    for (let block = index; block < TABLE_BLOCKS; block += count) this.#owns[block] = 1;
  }

  /** Feeds a batch to this share's detector, as replayEvents does; `progress.done` tells at any time how far it is. */
  replay(detector: Detector, words: Int32Array, count: number, progress: Progress): void {
    const owns = this.#owns;
    const { accesses } = detector;
    for (let i = 0; i < count; i++) {
      const at = i * EVENT_WORDS;
      progress.done = i;
      const op = (words[at] as number) & 0xff;
      const goroutine = words[at + 1] as number;
      switch (op) {
        case Op.Read:
        case Op.Write: {
          const low = words[at + 2] as number;
          if (owns[(low >>> BLOCK_SHIFT) & (TABLE_BLOCKS - 1)] === 0) break;
          const kind = op === Op.Read ? READ : PLAIN_WRITE;
          const high = words[at + 3] as number;
          accesses.one(goroutine, kind, low, high, words[at + 6] as number, words[at + 7] as number);
          break;
        }
        case Op.FuncEnter:
          detector.funcEnter(goroutine, words[at + 6] as number, words[at + 7] as number);
          break;
        case Op.FuncExit:
          detector.funcExit(goroutine);
          break;
        default:
          this.#replayRare(detector, words, at);
      }
    }
    progress.done = count;
  }

  #replayRare(detector: Detector, words: Int32Array, at: number): void {
    const head = words[at] as number;
    const goroutine = words[at + 1] as number;
    const low = words[at + 2] as number;
    const address = numberOf(low, words[at + 3] as number);
    const arg = numberOf(words[at + 4] as number, words[at + 5] as number);
    const pcLow = words[at + 6] as number;
    const pcHigh = words[at + 7] as number;
    switch (head & 0xff) {
      case Op.ReadPC:
      case Op.WritePC:
        if (this.#ownsBlock(low)) replayRare(detector, words, at, head);
        break;
      case Op.ReadRange:
      case Op.WriteRange: {
        const kind = (head & 0xff) === Op.ReadRange ? READ : PLAIN_WRITE;
        this.#eachPiece(address, arg, (start, sizeBytes) => {
          detector.accesses.range(
            goroutine,
            kind,
            start | 0,
            Math.floor(start / 2 ** 32),
            sizeBytes,
            pcLow,
            pcHigh,
          );
        });
        break;
      }
      case Op.Malloc:
        detector.allocated(address, arg, allocator(words, at));
        this.#eachPiece(address, arg, (start, sizeBytes) => detector.clear(start, sizeBytes));
        break;
      case Op.AtomicLoad:
      case Op.AtomicStore:
      case Op.AtomicExchange:
      case Op.AtomicFetchAdd:
      case Op.AtomicCompareAndSwap:
        // Elsewhere it is synchronisation and nothing else: an access of no bytes.
        replayRare(detector, words, at, this.#ownsBlock(low) ? head : head & 0xffff);
        break;
      default:
        replayRare(detector, words, at, head);
    }
  }

  #ownsBlock(low: number): boolean {
    return this.#owns[(low >>> BLOCK_SHIFT) & (TABLE_BLOCKS - 1)] === 1;
  }

  /** Calls `take` with the parts of [address, address + sizeBytes) that are in blocks of this share. */
  #eachPiece(address: number, sizeBytes: number, take: (start: number, sizeBytes: number) => void): void {
    const end = address + sizeBytes;
    for (let start = address; start < end;) {
      const stop = Math.min(end, (Math.floor(start / BLOCK_BYTES) + 1) * BLOCK_BYTES);
      if (this.#ownsBlock(start | 0)) take(start, stop - start);
      start = stop;
    }
  }
}
