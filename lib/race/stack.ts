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

import type { TableSpace } from '../native/table.js';

/** The empty stack. */
export const EMPTY_STACK = 0;

/** What of a detector's tables is nodes: 512 MiB. */
const NODE_PART = 1 / 8;

/** Nodes before the first reclaiming; few, because most users of the library watch small programs. */
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

/** What `high` is before the first pc, and when pcs differ in their high words. */
const UNKNOWN = -1;
const MIXED = -2;

const PC_HIGH_FACTOR = 2 ** 32;

/** Asks the owner of stacks to call `mark` with each node that it still uses. */
export type MarkRoots = (mark: (node: number) => void) => void;

export interface Stacks {
  bytes(): number;
  /**
   * The stack with a call at pc on top of `stack`.
   * @throws LazyShadowError ERR_OUT_OF_MEMORY; nothing is changed then
   */
  push(stack: number, pcLow: number, pcHigh: number): number;
  /** The stack below the top call. */
  parent(stack: number): number;
  /** How many calls a stack has. */
  depth(stack: number): number;
  /** The pcs of a stack, innermost first. */
  pcs(stack: number): number[];
  /** There are no stacks any more but the empty one. */
  reset(): void;
}

export function createStacks(space: TableSpace, roots: MarkRoots): Stacks {
  const memory = space.table('call stacks', NODE_PART);
  const nodes = memory.words;
  /** Open addressing, at most half full: node numbers, 0 where none. */
  let table = new Int32Array(FIRST_LIMIT * 2);
  /** The high words of the nodes' pcs. */
  let highs = new Int32Array(FIRST_LIMIT);
  /** The high word of every pc: a program's code lies mostly in one place. MIXED if there are several. */
  let high = UNKNOWN;
  let limit = FIRST_LIMIT;
  let used = 1;
  /** Reclaimed nodes, linked through LATEST. */
  let free = 0;
  begin();

  function begin(): void {
    memory.reserve(FIRST_LIMIT << NODE_SHIFT);
    // Nobody's child, not even its own by a call at pc 0.
    nodes[PARENT] = RECLAIMED;
  }

  function reset(): void {
    memory.reset();
    table = new Int32Array(FIRST_LIMIT * 2);
    highs = new Int32Array(FIRST_LIMIT);
    high = UNKNOWN;
    limit = FIRST_LIMIT;
    used = 1;
    free = 0;
    begin();
  }

  function push(stack: number, pcLow: number, pcHigh: number): number {
    const below = stack << NODE_SHIFT;
    const before = nodes[below + LATEST] as number;
    const expected = nodes[(before << NODE_SHIFT) + NEXT] as number;
    const at = expected << NODE_SHIFT;
    if (
      nodes[at + PC_LOW] === pcLow &&
      nodes[at + PARENT] === stack &&
      (pcHigh === high || highs[expected] === pcHigh)
    ) {
      nodes[below + LATEST] = expected;
      return expected;
    }
    const node = find(stack, pcLow, pcHigh) | 0;
    nodes[below + LATEST] = node;
    nodes[(before << NODE_SHIFT) + NEXT] = node;
    return node;
  }

  function find(stack: number, pcLow: number, pcHigh: number): number {
    // The loop's own constants: only so does V8 build the place of the nodes into it (docs/performance.md).
    const all = nodes;
    const entries = table;
    const uniform = pcHigh === high;
    const mask = entries.length - 1;
    for (let slot = hash(stack, pcLow) & mask; ; slot = (slot + 1) & mask) {
      const node = entries[slot] as number;
      if (node === 0) return add(stack, pcLow, pcHigh);
      const at = node << NODE_SHIFT;
      if (all[at + PC_LOW] === pcLow && all[at + PARENT] === stack && (uniform || highs[node] === pcHigh)) {
        return node;
      }
    }
  }

  function parent(stack: number): number {
    return nodes[(stack << NODE_SHIFT) + PARENT] as number;
  }

  function depth(stack: number): number {
    let calls = 0;
    for (let node = stack; node !== EMPTY_STACK; node = parent(node)) calls++;
    return calls;
  }

  function pcs(stack: number): number[] {
    const found: number[] = [];
    for (let node = stack; node !== EMPTY_STACK; node = parent(node)) {
      found.push(joinWords(nodes[(node << NODE_SHIFT) + PC_LOW] as number, highs[node] as number));
    }
    return found;
  }

  function add(stack: number, pcLow: number, pcHigh: number): number {
    if (free === 0 && used === limit) reclaim(stack);
    let node = free | 0;
    if (node !== 0) free = nodes[(node << NODE_SHIFT) + LATEST] as number;
    else node = used++;
    const at = node << NODE_SHIFT;
    nodes[at + PARENT] = stack | 0;
    nodes[at + PC_LOW] = pcLow | 0;
    nodes[at + LATEST] = 0;
    nodes[at + NEXT] = 0;
    highs[node] = pcHigh;
    if (high === UNKNOWN) high = pcHigh;
    else if (pcHigh !== high) high = MIXED;
    enter(node);
    return node;
  }

  /** Puts a node that is not in the table into it. */
  function enter(node: number): void {
    const at = node << NODE_SHIFT;
    const mask = table.length - 1;
    let slot = hash(nodes[at + PARENT] as number, nodes[at + PC_LOW] as number) & mask;
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = node;
  }

  /** Frees what neither the owner nor `stack` refers to; doubles the table if that is too little. */
  function reclaim(stack: number): void {
    const live = new Uint8Array(limit);
    let marks = 0;
    const mark = (from: number) => {
      marks++;
      for (let node = from; node !== EMPTY_STACK && live[node] === 0; node = parent(node)) live[node] = 1;
    };
    mark(stack);
    roots(mark);
    const count = live.reduce((sum, bit) => sum + bit, 0);

    const freed = limit - count;
    const most = nodes.length >> NODE_SHIFT;
    if ((freed < count || freed * MARKS_PER_FREED < marks) && (limit < most || freed === 0)) {
      memory.reserve((limit * 2) << NODE_SHIFT);
      limit *= 2;
      const grown = new Int32Array(limit);
      grown.set(highs);
      highs = grown;
    }
    table = new Int32Array(limit * 2);
    free = 0;
    for (let node = used - 1; node > 0; node--) {
      if (live[node] === 1) {
        enter(node);
      } else {
        nodes[(node << NODE_SHIFT) + PARENT] = RECLAIMED;
        nodes[(node << NODE_SHIFT) + LATEST] = free;
        free = node;
      }
    }
  }

  return {
    bytes: () => memory.bytes + highs.byteLength + table.byteLength,
    push,
    parent,
    depth,
    pcs,
    reset,
  };
}

/** Multiplicative, by odd constants near 2^32 divided by the golden ratio; the high bits folded down. */
function hash(stack: number, pcLow: number): number {
  const mixed = Math.imul(stack, 0x9e3779b1) ^ Math.imul(pcLow, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

/** The two words of a pc, or of an address, as the number it is. */
export function joinWords(low: number, high: number): number {
  return high * PC_HIGH_FACTOR + (low >>> 0);
}
