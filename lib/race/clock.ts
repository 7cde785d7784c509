/**
 * Vector clocks that cost what is used.
 *
 * A clock is a tree of nodes of 32 words. At the lowest level a word is a slot's position, above it the number of
 * a node below. Node 0 is all zeros, and so is the empty clock at every level.
 *
 *     root ──┬─ node ──┬─ node: positions of slots 0 … 31
 *            │         └─ node: positions of slots 32 … 63
 *            └─ node ─ …
 *
 * Nodes are shared between clocks and counted; a node is changed in place only by a clock that alone holds it and
 * copied otherwise. So copying a clock at a release is one count, a clock of a program with up to 32 slots is one
 * node, and joining two clocks visits only what differs: equal nodes are recognised by their number.
 *
 * Ownership: a root that a caller holds is counted. `set` and `join` take over the caller's root and
 * give back the root to hold from then on.
 */

const NODE_SHIFT = 5;
const NODE_WORDS = 1 << NODE_SHIFT;
const NODE_MASK = NODE_WORDS - 1;
const NODE_PAIRS = NODE_WORDS / 2;

/** The clock that knows nothing. */
export const EMPTY_CLOCK = 0;

export class Clocks {
  #nodes: Int32Array = new Int32Array(64 * NODE_WORDS);
  /** The same memory two words at a time, to compare and to copy them: POSITION_LIMIT keeps any two a finite number. */
  #pairs: Float64Array = new Float64Array(this.#nodes.buffer);
  #counts: Int32Array = new Int32Array(64);
  /** Nodes ever used; those that were given back are linked through their first word from #free on. */
  #used = 1;
  #free = 0;
  #live = 0;
  /** log2 of the slots that a word of the root stands for: 0 while all slots fit one node. */
  #shift = 0;
  /** Words of a root that are in use. */
  #width = 0;
  /** Pairs of a leaf that are in use: the others are zeros in every leaf. */
  #leafPairs = NODE_PAIRS;

  /** Slots that a clock can have components for before `deepen`. */
  get capacity(): number {
    return 2 ** (this.#shift + NODE_SHIFT);
  }

  /** Tells that slots below `count` are in use; never more than the capacity. */
  cover(count: number): void {
    this.#width = ((count - 1) >>> this.#shift) + 1;
    // Where leaves are roots, no node has ever had more words in use than now: so none need be copied, or cleared.
    this.#leafPairs = this.#shift === 0 ? (count + 1) >> 1 : NODE_PAIRS;
  }

  /** Nodes that some clock holds. */
  get liveNodes(): number {
    return this.#live;
  }

  get bytes(): number {
    return this.#nodes.byteLength + this.#counts.byteLength;
  }

  /** The component of `slot`. */
  get(root: number, slot: number): number {
    const nodes = this.#nodes;
    let node = root;
    for (let shift = this.#shift; shift > 0; shift -= NODE_SHIFT) {
      node = nodes[(node << NODE_SHIFT) + ((slot >>> shift) & NODE_MASK)] as number;
    }
    return nodes[(node << NODE_SHIFT) + (slot & NODE_MASK)] as number;
  }

  retain(root: number): number {
    if (root !== EMPTY_CLOCK) this.#counts[root] = (this.#counts[root] as number) + 1;
    return root;
  }

  release(root: number): void {
    this.#drop(root, this.#shift);
  }

  /** `root` with the component of `slot` raised to `position`. */
  set(root: number, slot: number, position: number): number {
    if (this.get(root, slot) >= position) return root;
    return this.#set(root, slot, position, this.#shift);
  }

  /** The join of two clocks: each component the greater of the two. `other` stays its holder's. */
  join(root: number, other: number): number {
    return this.#join(root, other, this.#shift);
  }

  /**
   * Adds a level, so that clocks have 32 times as many components. The caller replaces every root it holds by
   * `deepened(root)`, once each for each time it holds it.
   */
  deepen(): void {
    this.#shift += NODE_SHIFT;
  }

  /** What a root of before `deepen` is called since. */
  deepened(root: number): number {
    if (root === EMPTY_CLOCK) return EMPTY_CLOCK;
    const node = this.#own(EMPTY_CLOCK, 0);
    this.#nodes[node << NODE_SHIFT] = root;
    return node;
  }

  #set(node: number, slot: number, position: number, shift: number): number {
    const own = this.#own(node, shift);
    const at = (own << NODE_SHIFT) + ((slot >>> shift) & NODE_MASK);
    if (shift === 0) {
      this.#nodes[at] = position;
    } else {
      const child = this.#set(this.#nodes[at] as number, slot, position, shift - NODE_SHIFT);
      this.#nodes[at] = child;
    }
    return own;
  }

  #join(a: number, b: number, shift: number): number {
    if (a === b || b === EMPTY_CLOCK) return a;
    if (a === EMPTY_CLOCK) return this.retain(b);
    return shift === 0 ? this.#joinLeaves(a, b) : this.#joinInner(a, b, shift);
  }

  /** One of two leaves mostly includes the other, and then nothing is written. */
  #joinLeaves(a: number, b: number): number {
    const mine = a * NODE_PAIRS;
    const theirs = b * NODE_PAIRS;
    const pair = this.#differing(mine, theirs, 0);
    if (pair === this.#leafPairs) return a;
    const nodes = this.#nodes;
    let at = 2 * pair;
    if (nodes[2 * mine + at] === nodes[2 * theirs + at]) at++;
    if ((nodes[2 * mine + at] as number) > (nodes[2 * theirs + at] as number)) {
      if (this.#includes(mine, theirs, pair)) return a;
    } else if (this.#includes(theirs, mine, pair)) {
      this.#drop(a, 0);
      return this.retain(b);
    }
    return this.#mergeLeaves(this.#own(a, 0), theirs);
  }

  /** The first pair of the leaves at pairs `a` and `b`, from `from` on, that is not the same. */
  #differing(a: number, b: number, from: number): number {
    const pairs = this.#pairs;
    const end = this.#leafPairs;
    let pair = from;
    while (pair < end && pairs[a + pair] === pairs[b + pair]) pair++;
    return pair;
  }

  /** Whether the leaf at pair `more` has, from pair `from` on, nothing less than the one at `less`. */
  #includes(more: number, less: number, from: number): boolean {
    const nodes = this.#nodes;
    const end = this.#leafPairs;
    for (let pair = from; pair < end; pair = this.#differing(more, less, pair + 1)) {
      const at = 2 * (more + pair);
      const other = 2 * (less + pair);
      if ((nodes[at] as number) < (nodes[other] as number)) return false;
      if ((nodes[at + 1] as number) < (nodes[other + 1] as number)) return false;
    }
    return true;
  }

  /** Raises the words of a leaf that only the caller holds to those at pair `theirs`. */
  #mergeLeaves(own: number, theirs: number): number {
    const nodes = this.#nodes;
    const mine = own << NODE_SHIFT;
    for (let i = 0, width = 2 * this.#leafPairs; i < width; i++) {
      const word = nodes[2 * theirs + i] as number;
      if (word > (nodes[mine + i] as number)) nodes[mine + i] = word;
    }
    return own;
  }

  #joinInner(a: number, b: number, shift: number): number {
    let own = a;
    let same = true;
    const width = this.#widthAt(shift);
    for (let i = 0; i < width; i++) {
      const mine = this.#nodes[(own << NODE_SHIFT) + i] as number;
      const theirs = this.#nodes[(b << NODE_SHIFT) + i] as number;
      if (mine === theirs) continue;
      // While `own` is shared, so is what it holds: joined in place, it would change under the other holders.
      const shared = (this.#counts[own] as number) > 1;
      if (shared) this.retain(mine);
      const joined = this.#join(mine, theirs, shift - NODE_SHIFT);
      if (joined !== theirs) same = false;
      if (joined === mine) {
        if (shared) this.#drop(mine, shift - NODE_SHIFT);
        continue;
      }
      if (shared) {
        own = this.#own(own, shift);
        this.#drop(mine, shift - NODE_SHIFT);
      }
      this.#nodes[(own << NODE_SHIFT) + i] = joined;
    }
    if (!same) return own;
    this.#drop(own, shift);
    return this.retain(b);
  }

  /** Words of a node that can be other than 0. */
  #widthAt(shift: number): number {
    return shift === this.#shift ? this.#width : NODE_WORDS;
  }

  /** A node with the contents of `node` that only the caller holds; the caller's hold on `node` goes over to it. */
  #own(node: number, shift: number): number {
    if (node !== EMPTY_CLOCK && this.#counts[node] === 1) return node;
    const copy = this.#alloc();
    if (node === EMPTY_CLOCK) {
      this.#nodes.fill(0, copy << NODE_SHIFT, (copy + 1) << NODE_SHIFT);
      return copy;
    }
    const pairs = this.#pairs;
    const from = node * NODE_PAIRS;
    const to = copy * NODE_PAIRS;
    for (let i = 0, width = this.#leafPairs; i < width; i++) pairs[to + i] = pairs[from + i] as number;
    if (shift > 0) {
      for (let i = 0, width = this.#widthAt(shift); i < width; i++)
        this.retain(this.#nodes[2 * from + i] as number);
    }
    this.#counts[node] = (this.#counts[node] as number) - 1;
    return copy;
  }

  #drop(node: number, shift: number): void {
    if (node === EMPTY_CLOCK) return;
    const count = (this.#counts[node] as number) - 1;
    this.#counts[node] = count;
    if (count > 0) return;
    if (shift > 0) {
      for (let i = 0, width = this.#widthAt(shift); i < width; i++) {
        this.#drop(this.#nodes[(node << NODE_SHIFT) + i] as number, shift - NODE_SHIFT);
      }
    }
    this.#nodes[node << NODE_SHIFT] = this.#free;
    this.#free = node;
    this.#live--;
  }

  /** A node held once, with anything in it. */
  #alloc(): number {
    let node = this.#free;
    if (node !== 0) {
      this.#free = this.#nodes[node << NODE_SHIFT] as number;
    } else {
      node = this.#used++;
      if (node === this.#counts.length) this.#grow();
    }
    this.#counts[node] = 1;
    this.#live++;
    return node;
  }

  #grow(): void {
    const nodes = new Int32Array(this.#nodes.length * 2);
    nodes.set(this.#nodes);
    this.#nodes = nodes;
    this.#pairs = new Float64Array(nodes.buffer);
    const counts = new Int32Array(this.#counts.length * 2);
    counts.set(this.#counts);
    this.#counts = counts;
  }
}
