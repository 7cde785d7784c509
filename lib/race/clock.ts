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

import type { TableSpace } from '../native/table.js';

const NODE_SHIFT = 5;
const NODE_WORDS = 1 << NODE_SHIFT;
const NODE_MASK = NODE_WORDS - 1;
const NODE_PAIRS = NODE_WORDS / 2;

/** log2 of the slots whose components are in one node. */
export const LEAF_SHIFT = NODE_SHIFT;

/** What of a detector's tables is nodes, 1 GiB of them, and a word for each. */
const NODE_PART = 1 / 4;
const COUNT_PART = NODE_PART / NODE_WORDS;

/** The clock that knows nothing. */
export const EMPTY_CLOCK = 0;

export interface Clocks {
  /** Slots that a clock can have components for before `deepen`. */
  capacity(): number;
  /** Nodes that some clock holds. */
  liveNodes(): number;
  bytes(): number;
  /** Tells that slots below `count` are in use; never more than the capacity. */
  cover(count: number): void;
  /** The component of `slot`. */
  get(root: number, slot: number): number;
  /** The node that has the component of `slot`, and of all slots beside it: two clocks that have the same one know the same there. */
  leaf(root: number, slot: number): number;
  /** Holds a clock once more. */
  retain(root: number): number;
  release(root: number): void;
  /** `root` with the component of `slot` raised to `position`. */
  set(root: number, slot: number, position: number): number;
  /** The join of two clocks: each component the greater of the two. `other` stays its holder's. */
  join(root: number, other: number): number;
  /**
   * Adds a level, so that clocks have 32 times as many components. The caller replaces every root it holds by
   * `deepened(root)`, once each for each time it holds it.
   */
  deepen(): void;
  /** What a root of before `deepen` is called since. */
  deepened(root: number): number;
  /** There are no clocks any more but the empty one. */
  reset(): void;
}

/** What makes a clock larger may throw LazyShadowError ERR_OUT_OF_MEMORY. */
export function createClocks(space: TableSpace): Clocks {
  const words = space.table('clocks', NODE_PART);
  const holders = space.table('clocks', COUNT_PART);
  const nodes = words.words;
  /** The same memory two words at a time, to compare and to copy them: POSITION_LIMIT keeps any two a finite number. */
  const pairs = new Float64Array(nodes.buffer, nodes.byteOffset, nodes.length / 2);
  /** How many hold a node. */
  const counts = holders.words;
  /** Nodes ever used; those that were given back are linked through their first word from `free` on. */
  let used = 1;
  let free = 0;
  let live = 0;
  /** log2 of the slots that a word of the root stands for: 0 while all slots fit one node. */
  let rootShift = 0;
  /** Words of a root that are in use. */
  let rootWidth = 0;
  /** Pairs of a leaf that are in use: the others are zeros in every leaf. */
  let leafPairs = NODE_PAIRS;

  function reset(): void {
    words.reset();
    holders.reset();
    used = 1;
    free = 0;
    live = 0;
    rootShift = 0;
    rootWidth = 0;
    leafPairs = NODE_PAIRS;
  }

  function cover(count: number): void {
    rootWidth = ((count - 1) >>> rootShift) + 1;
    // Where leaves are roots, no node has ever had more words in use than now: so none need be copied, or cleared.
    leafPairs = rootShift === 0 ? (count + 1) >> 1 : NODE_PAIRS;
  }

  function get(root: number, slot: number): number {
    return nodes[(leaf(root, slot) << NODE_SHIFT) + (slot & NODE_MASK)] as number;
  }

  function leaf(root: number, slot: number): number {
    let node = root;
    for (let shift = rootShift; shift > 0; shift -= NODE_SHIFT) {
      node = nodes[(node << NODE_SHIFT) + ((slot >>> shift) & NODE_MASK)] as number;
    }
    return node;
  }

  function retain(root: number): number {
    if (root !== EMPTY_CLOCK) counts[root] = (counts[root] as number) + 1;
    return root;
  }

  function release(root: number): void {
    drop(root, rootShift);
  }

  function set(root: number, slot: number, position: number): number {
    if (get(root, slot) >= position) return root;
    return raise(root, slot, position, rootShift);
  }

  function join(root: number, other: number): number {
    return joinAt(root, other, rootShift);
  }

  function deepen(): void {
    rootShift += NODE_SHIFT;
  }

  function deepened(root: number): number {
    if (root === EMPTY_CLOCK) return EMPTY_CLOCK;
    const node = owned(EMPTY_CLOCK, 0);
    nodes[node << NODE_SHIFT] = root;
    return node;
  }

  function raise(node: number, slot: number, position: number, shift: number): number {
    const own = owned(node, shift) | 0;
    const at = (own << NODE_SHIFT) + ((slot >>> shift) & NODE_MASK);
    if (shift === 0) {
      nodes[at] = position | 0;
    } else {
      const child = raise(nodes[at] as number, slot, position, shift - NODE_SHIFT);
      nodes[at] = child | 0;
    }
    return own;
  }

  function joinAt(a: number, b: number, shift: number): number {
    if (a === b || b === EMPTY_CLOCK) return a;
    if (a === EMPTY_CLOCK) return retain(b);
    return shift === 0 ? joinLeaves(a, b) : joinInner(a, b, shift);
  }

  /** One of two leaves mostly includes the other, and then nothing is written. */
  function joinLeaves(a: number, b: number): number {
    const mine = a << NODE_SHIFT;
    const theirs = b << NODE_SHIFT;
    // Negative if some word of mine, or of theirs, is less than the other's.
    let less = 0;
    let more = 0;
    for (let i = 0, width = 2 * leafPairs; i < width; i += 2) {
      const even = (nodes[mine + i] as number) - (nodes[theirs + i] as number);
      const odd = (nodes[mine + i + 1] as number) - (nodes[theirs + i + 1] as number);
      less |= even | odd;
      more |= -even | -odd;
    }
    if (less >= 0) return a;
    if (more >= 0) {
      drop(a, 0);
      return retain(b);
    }
    return mergeLeaves(owned(a, 0), theirs);
  }

  /** Raises the words of a leaf that only the caller holds to those at `theirs`. */
  function mergeLeaves(own: number, theirs: number): number {
    const mine = own << NODE_SHIFT;
    for (let i = 0, width = 2 * leafPairs; i < width; i++) {
      const word = nodes[theirs + i] as number;
      if (word > (nodes[mine + i] as number)) nodes[mine + i] = word;
    }
    return own;
  }

  function joinInner(a: number, b: number, shift: number): number {
    let own = a;
    let same = true;
    const width = widthAt(shift);
    for (let i = 0; i < width; i++) {
      const mine = nodes[(own << NODE_SHIFT) + i] as number;
      const theirs = nodes[(b << NODE_SHIFT) + i] as number;
      if (mine === theirs) continue;
      // While `own` is shared, so is what it holds: joined in place, it would change under the other holders.
      const shared = (counts[own] as number) > 1;
      if (shared) retain(mine);
      const joined = joinAt(mine, theirs, shift - NODE_SHIFT) | 0;
      if (joined !== theirs) same = false;
      if (joined === mine) {
        if (shared) drop(mine, shift - NODE_SHIFT);
        continue;
      }
      if (shared) {
        own = owned(own, shift) | 0;
        drop(mine, shift - NODE_SHIFT);
      }
      nodes[(own << NODE_SHIFT) + i] = joined;
    }
    if (!same) return own;
    drop(own, shift);
    return retain(b);
  }

  /** Words of a node that can be other than 0. */
  function widthAt(shift: number): number {
    return shift === rootShift ? rootWidth : NODE_WORDS;
  }

  /** A node with the contents of `node` that only the caller holds; the caller's hold on `node` goes over to it. */
  function owned(node: number, shift: number): number {
    if (node !== EMPTY_CLOCK && counts[node] === 1) return node;
    const copy = alloc() | 0;
    if (node === EMPTY_CLOCK) {
      nodes.fill(0, copy << NODE_SHIFT, (copy + 1) << NODE_SHIFT);
      return copy;
    }
    const from = node * NODE_PAIRS;
    const to = copy * NODE_PAIRS;
    for (let i = 0, width = leafPairs; i < width; i++) pairs[to + i] = pairs[from + i] as number;
    if (shift > 0) {
      for (let i = 0, width = widthAt(shift); i < width; i++) retain(nodes[2 * from + i] as number);
    }
    counts[node] = (counts[node] as number) - 1;
    return copy;
  }

  function drop(node: number, shift: number): void {
    if (node === EMPTY_CLOCK) return;
    const count = (counts[node] as number) - 1;
    counts[node] = count;
    if (count > 0) return;
    if (shift > 0) {
      for (let i = 0, width = widthAt(shift); i < width; i++) {
        drop(nodes[(node << NODE_SHIFT) + i] as number, shift - NODE_SHIFT);
      }
    }
    nodes[node << NODE_SHIFT] = free | 0;
    free = node | 0;
    live--;
  }

  /** A node held once, with anything in it. */
  function alloc(): number {
    let node = free;
    if (node !== 0) {
      free = nodes[node << NODE_SHIFT] as number;
    } else {
      node = used;
      words.reserve((node + 1) << NODE_SHIFT);
      holders.reserve(node + 1);
      used++;
    }
    counts[node] = 1;
    live++;
    return node;
  }

  return {
    capacity: () => 1 << (rootShift + NODE_SHIFT),
    liveNodes: () => live,
    bytes: () => words.bytes + holders.bytes,
    cover,
    get,
    leaf,
    retain,
    release,
    set,
    join,
    deepen,
    deepened,
    reset,
  };
}
