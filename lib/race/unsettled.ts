/**
 * What a detector that began midway leaves open: what it has taken for granted of the past, and the accesses that one of
 * the past could race with. Plain values, since they go from thread to thread.
 *
 * A source is a thing of the past that something is known from: a goroutine that ran already, or what a sync object held.
 * An access is ordered after whatever the sources that it knows were ordered after. Those that are known together are a
 * set, and each access has one. A goroutine knows more and more, so a set is another one and some sources besides.
 */

/** A goroutine that ran before, or a sync object that may have held something. */
export interface Source {
  /** The goroutine, or 0. */
  readonly goroutine: number;
  /** The sync object's address, or 0. */
  readonly object: number;
  /** Functions that the goroutine has left, and had entered before. */
  readonly owedExits: number;
  /** Times that it stopped to ignore synchronisation, and had begun to before. */
  readonly owedIgnores: number;
}

export interface Unsettled {
  readonly sources: readonly Source[];
  /** For each set the one that it adds to, NO_SET if none, and where its own sources end in `members`. */
  readonly parents: Int32Array<ArrayBuffer>;
  readonly ends: Int32Array<ArrayBuffer>;
  readonly members: Int32Array<ArrayBuffer>;
  /** For each access its granule (address / 8), its kind and bytes (cell.ts), and its set. */
  readonly granules: Float64Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  readonly sets: Int32Array<ArrayBuffer>;
  /** The goroutines that were started since. */
  readonly started: Int32Array<ArrayBuffer>;
}

/** The memory of what is unsettled, which can so go from thread to thread without a copy. */
export function buffersOf(unsettled: Unsettled): ArrayBuffer[] {
  const { parents, ends, members, granules, words, sets, started } = unsettled;
  return [parents, ends, members, granules, words, sets, started].map(({ buffer }) => buffer);
}

/** A set that adds to none; and none. */
export const NO_SET = -1;

/** Room at first. */
const FEW = 1024;

/** Sets of sources, each with a number. */
export class SourceSets {
  #parents = new Int32Array(FEW);
  #ends = new Int32Array(FEW);
  #members = new Int32Array(FEW);
  #count = 0;
  #used = 0;

  /** The set of all sources of `parent` and these others. */
  add(parent: number, others: readonly number[]): number {
    if (parent !== NO_SET && others.length === 0) return parent;
    const set = this.#count++;
    this.#parents = roomFor(this.#parents, set + 1);
    this.#ends = roomFor(this.#ends, set + 1);
    this.#members = roomFor(this.#members, this.#used + others.length);
    this.#members.set(others, this.#used);
    this.#used += others.length;
    this.#parents[set] = parent;
    this.#ends[set] = this.#used;
    return set;
  }

  done(): Pick<Unsettled, 'parents' | 'ends' | 'members'> {
    return {
      parents: this.#parents.slice(0, this.#count),
      ends: this.#ends.slice(0, this.#count),
      members: this.#members.slice(0, this.#used),
    };
  }
}

/** Accesses that one of the past could race with. */
export class OpenAccesses {
  #granules = new Float64Array(FEW);
  #words = new Int32Array(FEW);
  #sets = new Int32Array(FEW);
  #count = 0;

  add(granule: number, word: number, set: number): void {
    const at = this.#count++;
    if (at === this.#words.length) {
      this.#granules = roomFor(this.#granules, at + 1);
      this.#words = roomFor(this.#words, at + 1);
      this.#sets = roomFor(this.#sets, at + 1);
    }
    this.#granules[at] = granule;
    this.#words[at] = word;
    this.#sets[at] = set;
  }

  done(): Pick<Unsettled, 'granules' | 'words' | 'sets'> {
    const count = this.#count;
    return {
      granules: this.#granules.slice(0, count),
      words: this.#words.slice(0, count),
      sets: this.#sets.slice(0, count),
    };
  }
}

/** `values`, or twice as many, so that there are `length`. */
function roomFor<T extends Int32Array | Float64Array>(values: T, length: number): T {
  if (length <= values.length) return values;
  const size = Math.max(length, values.length * 2);
  const grown = (values instanceof Int32Array ? new Int32Array(size) : new Float64Array(size)) as T;
  grown.set(values);
  return grown;
}
