/**
 * Call stacks, each distinct one kept once: a node is a pc and the stack below it.
 *
 *     root ── main+0x84 ── main.func1+0x91 ── main.update+0x30
 *
 * So a goroutine's current stack is one number, and leaving a function is following the parent. Entering one is a
 * look-up in a hash table; but mostly what is called after the last call is what was called after it the last time,
 * so that is tried first.
 *
 * A program may have more distinct stacks than memory (a recursion that branches has 2^depth), so nodes that
 * nobody refers to any more are reclaimed: at `limit` nodes the owner is asked, through `roots`, to mark what it
 * still uses. Invariant: a node number stays valid as long as its owner marks it on request.
 */

/** The empty stack. */
export const EMPTY_STACK = 0;

/** Nodes of the first table; small, because most users of the library watch small programs. */
const FIRST_LIMIT = 1024;

/** The table doubles too when more marks than this were made for each node that they freed: the owner's past is long. */
const MARKS_PER_FREED = 8;

// A node: its parent and the low word of its pc; the child that was entered last, and the child of its parent that was
// entered after it last time.
const NODE_SHIFT = 2;
const PARENT = 0;
const PC_LOW = 1;
const LATEST = 2;
const NEXT = 3;

/** PARENT of a reclaimed node, whose LATEST is the next such; and of the empty stack. */
const RECLAIMED = -1;

/** What `#high` is before the first pc, and when pcs differ in their high words. */
const UNKNOWN = -1;
const MIXED = -2;

const PC_HIGH_FACTOR = 2 ** 32;

/** Asks the owner of stacks to call `mark` with each node that it still uses. */
export type MarkRoots = (mark: (node: number) => void) => void;

export class Stacks {
  #nodes: Int32Array = new Int32Array(FIRST_LIMIT << NODE_SHIFT);
  /** Open addressing, at most half full: node numbers, 0 where none. */
  #table: Int32Array = new Int32Array(FIRST_LIMIT * 2);
  /** The high words of the nodes' pcs. */
  #highs: Int32Array = new Int32Array(FIRST_LIMIT);
  /** The high word of every pc: a program's code lies mostly in one place. MIXED if there are several. */
  #high = UNKNOWN;
  #limit = FIRST_LIMIT;
  #used = 1;
  /** Reclaimed nodes, linked through LATEST. */
  #free = 0;
  readonly #roots: MarkRoots;

  constructor(roots: MarkRoots) {
    this.#roots = roots;
    // Nobody's child, not even its own by a call at pc 0.
    this.#nodes[PARENT] = RECLAIMED;
  }

  get bytes(): number {
    return this.#nodes.byteLength + this.#highs.byteLength + this.#table.byteLength;
  }

  /** The stack with a call at pc on top of `stack`. */
  push(stack: number, pcLow: number, pcHigh: number): number {
    const nodes = this.#nodes;
    const uniform = pcHigh === this.#high;
    const below = stack << NODE_SHIFT;
    const before = nodes[below + LATEST] as number;
    const expected = nodes[(before << NODE_SHIFT) + NEXT] as number;
    const at = expected << NODE_SHIFT;
    if (
      nodes[at + PC_LOW] === pcLow &&
      nodes[at + PARENT] === stack &&
      (uniform || this.#highs[expected] === pcHigh)
    ) {
      nodes[below + LATEST] = expected;
      return expected;
    }
    const node = this.#find(stack, pcLow, pcHigh, uniform);
    this.#nodes[below + LATEST] = node;
    this.#nodes[(before << NODE_SHIFT) + NEXT] = node;
    return node;
  }

  #find(stack: number, pcLow: number, pcHigh: number, uniform: boolean): number {
    const nodes = this.#nodes;
    const table = this.#table;
    const mask = table.length - 1;
    for (let slot = hash(stack, pcLow) & mask; ; slot = (slot + 1) & mask) {
      const node = table[slot] as number;
      if (node === 0) return this.#add(stack, pcLow, pcHigh);
      const at = node << NODE_SHIFT;
      if (
        nodes[at + PC_LOW] === pcLow &&
        nodes[at + PARENT] === stack &&
        (uniform || this.#highs[node] === pcHigh)
      ) {
        return node;
      }
    }
  }

  /** The stack below the top call. */
  parent(stack: number): number {
    return this.#nodes[(stack << NODE_SHIFT) + PARENT] as number;
  }

  /** The pcs of a stack, innermost first. */
  pcs(stack: number): number[] {
    const pcs: number[] = [];
    for (let node = stack; node !== EMPTY_STACK; node = this.parent(node)) {
      pcs.push(joinPc(this.#nodes[(node << NODE_SHIFT) + PC_LOW] as number, this.#highs[node] as number));
    }
    return pcs;
  }

  #add(stack: number, pcLow: number, pcHigh: number): number {
    if (this.#free === 0 && this.#used === this.#limit) this.#reclaim(stack);
    let node = this.#free;
    if (node !== 0) this.#free = this.#nodes[(node << NODE_SHIFT) + LATEST] as number;
    else node = this.#used++;
    const at = node << NODE_SHIFT;
    this.#nodes[at + PARENT] = stack;
    this.#nodes[at + PC_LOW] = pcLow;
    this.#nodes[at + LATEST] = 0;
    this.#nodes[at + NEXT] = 0;
    this.#highs[node] = pcHigh;
    if (this.#high === UNKNOWN) this.#high = pcHigh;
    else if (pcHigh !== this.#high) this.#high = MIXED;
    this.#enter(node);
    return node;
  }

  /** Puts a node that is not in the table into it. */
  #enter(node: number): void {
    const at = node << NODE_SHIFT;
    const mask = this.#table.length - 1;
    let slot = hash(this.#nodes[at + PARENT] as number, this.#nodes[at + PC_LOW] as number) & mask;
    while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
    this.#table[slot] = node;
  }

  /** Frees what neither the owner nor `stack` refers to; doubles the table if that is too little. */
  #reclaim(stack: number): void {
    const live = new Uint8Array(this.#limit);
    let marks = 0;
    const mark = (from: number) => {
      marks++;
      for (let node = from; node !== EMPTY_STACK && live[node] === 0; node = this.parent(node))
        live[node] = 1;
    };
    mark(stack);
    this.#roots(mark);
    const count = live.reduce((sum, bit) => sum + bit, 0);

    const freed = this.#limit - count;
    if (freed < count || freed * MARKS_PER_FREED < marks) {
      this.#limit *= 2;
      const nodes = new Int32Array(this.#limit << NODE_SHIFT);
      nodes.set(this.#nodes);
      this.#nodes = nodes;
      const highs = new Int32Array(this.#limit);
      highs.set(this.#highs);
      this.#highs = highs;
    }
    this.#table = new Int32Array(this.#limit * 2);
    this.#free = 0;
    for (let node = this.#used - 1; node > 0; node--) {
      if (live[node] === 1) {
        this.#enter(node);
      } else {
        this.#nodes[(node << NODE_SHIFT) + PARENT] = RECLAIMED;
        this.#nodes[(node << NODE_SHIFT) + LATEST] = this.#free;
        this.#free = node;
      }
    }
  }
}

/** Multiplicative, by odd constants near 2^32 divided by the golden ratio; the high bits folded down. */
function hash(stack: number, pcLow: number): number {
  const mixed = Math.imul(stack, 0x9e3779b1) ^ Math.imul(pcLow, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

/** The two words of a pc, or of an address, as the number it is. */
export function joinPc(low: number, high: number): number {
  return high * PC_HIGH_FACTOR + (low >>> 0);
}
