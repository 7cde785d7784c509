/**
 * The shadow cell: two 32-bit words that remember one access to an 8-byte granule.
 *
 *     word 0   31                      10   9     8    7            0
 *             +-------------------------+-----+-----+----------------+
 *             | slot                    |plain|write| bytes          |
 *             +-------------------------+-----+-----+----------------+
 *     word 1   position: 0 the cell is empty, whatever word 0 is; > 0 when the slot made the access; -1 see SPILLED
 *
 * - `slot` names the goroutine, as the component of the vector clocks that is its own (goroutine.ts).
 * - `bytes` has bit i for byte i of the granule.
 * - `position` ascends with the accesses and releases of the slot: it is the slot's epoch, made as fine as can be, and what the
 *   access's stack is found by, in the slot's history (history.ts) or in the recording (bare.ts).
 *
 * The low ten bits say what a cell covers, and are chosen so that "cell c is at least as strong as access a, on
 * every byte of a" is one mask: `a & ~c` has none of the ten. A plain access is stronger than an atomic one and
 * a write stronger than a read, because whatever races with the weaker one races with the stronger too.
 * Two accesses of different goroutines conflict if their bytes overlap and together they are write and plain:
 * at least one writes and they are not both atomic.
 */

/** 32-bit words of a cell. */
export const CELL_WORDS = 2;

/** Word 0: the bytes of the granule. */
export const BYTES = 0xff;
/** Word 0: the access writes. */
export const WRITE = 0x100;
/** Word 0: the access is not atomic. */
export const PLAIN = 0x200;
/** Word 0: what kind of access it is. */
export const KIND = WRITE | PLAIN;
/** Word 0: where the slot begins. */
export const SLOT_SHIFT = 10;
/** Word 0: the slot. */
export const SLOT = -1 << SLOT_SHIFT;
/** Slots that word 0 can tell apart: four million goroutines that are unordered with each other. */
export const SLOT_LIMIT = 2 ** (32 - SLOT_SHIFT);

/** Word 1 of a granule's last cell when the granule has more cells than fit: word 0 is their place (spill.ts). */
export const SPILLED = -1;

/**
 * The highest position: a goroutine may record two thousand million accesses. No higher, so that two positions beside
 * each other are a finite number too (clock.ts).
 */
export const POSITION_LIMIT = 0x7fef_ffff;

/**
 * Where among a granule's words, which begin at `first`, a slot puts its cell if it can: there it is looked for first.
 * A granule that two goroutines use is so found at once by both, mostly, and the processor can foresee it.
 */
export function homeCell(first: number, slot: number, wordsPerGranule: number): number {
  return first + ((slot * CELL_WORDS) & (wordsPerGranule - 1));
}

/** The slot of a cell's word 0. */
export function cellSlot(word: number): number {
  return word >>> SLOT_SHIFT;
}

/** Whether two accesses of different goroutines to a common byte would conflict if they are unordered. */
export function conflict(word: number, other: number): boolean {
  return ((word | other) & KIND) === KIND;
}

/** The bytes [first, first + count) of a granule as a mask. */
export function byteMask(first: number, count: number): number {
  return ((1 << count) - 1) << first;
}

/** The lowest byte of a mask. */
export function firstByte(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}

/** How many bytes a mask has. */
export function byteCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
