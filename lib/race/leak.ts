/**
 * What FinalizerGoroutine adds to the order of events, to the letter.
 *
 * It takes every goroutine's clock into the finalizer's as it is: the epochs that are still going on included, and
 * they do not end by it. So what a goroutine does after the call, up to its next release, counts as ordered before
 * the finalizer too. An epoch is leaked in that way at position `from`; a clock that knows `from` is ordered after
 * all of the epoch. Positions being finer than epochs, those epochs are remembered here; that is asked only
 * when two accesses look unordered, which costs the path of ordered ones nothing.
 *
 * Two more consequences, both because such an epoch is ordered before others without having ended. Its order is not
 * transitive, so an access of it never stands in for another goroutine's earlier access (Detector's second rule). And an
 * access that repeats an earlier one of the epoch may race with one in between that the earlier one is ordered before,
 * so it is never skipped: the slot's FLOOR is above all positions until the epoch ends.
 */

interface LeakedEpoch {
  readonly from: number;
  to: number;
}

export class Leaks {
  readonly #epochs = new Map<number, LeakedEpoch[]>();

  /** Nothing was leaked. */
  reset(): void {
    this.#epochs.clear();
  }

  /** The current epoch of `slot` is handed out at position `from`. */
  open(slot: number, from: number): void {
    const epochs = this.#epochs.get(slot) ?? [];
    epochs.push({ from, to: Number.POSITIVE_INFINITY });
    this.#epochs.set(slot, epochs);
  }

  /** The epoch of `slot` ends at position `to`; nothing if it was not leaked. */
  close(slot: number, to: number): void {
    const last = this.#epochs.get(slot)?.at(-1);
    if (last?.to === Number.POSITIVE_INFINITY) last.to = to;
  }

  /** Whether the access at `position` of `slot` is ordered before a clock that knows the slot up to `known`. */
  orders(slot: number, position: number, known: number): boolean {
    const epochs = this.#epochs.get(slot);
    if (epochs === undefined) return false;
    return epochs.some(({ from, to }) => from < position && position < to && from <= known);
  }
}
