/**
 * What every event of a recording must hold, checked before anyone acts on it.
 *
 * - the op is one of 1 to 27, and the access size is that of the op: 1 for reads and writes, 4 or 8 for atomics, else 0
 * - addr, arg and pc are below 2^48, and a range (MapShadow, ReadRange, WriteRange, Malloc, Free) ends there at most
 * - an atomic lies inside one granule
 * - the goroutine runs: started by Initialize or GoStart, once, and not ended. Goroutine 0 makes only the calls
 *   that need none (MapShadow, Malloc, Free, Finalize, and the GoStart of a goroutine with no parent)
 * - no goroutine leaves more functions than it entered
 *
 * This runs for every event of every replay, and a recording's ops follow no pattern that a processor could predict.
 * So in the common path no branch depends on the op: what differs between ops is one table's word, and the path is left
 * for damage and for the three ops that start or end a goroutine. What is wrong with an event, and the sentence
 * about it, is found out only when something is. Replay has a shorter path for the most common events in its own loop
 * (replay-events.ts), and tells of them what has to be known here (`noteDepth`).
 *
 * Memory is 4 bytes for each goroutine. Numbers are handed out as goroutines start, so a number far above the count of
 * starts is damage; the bound is what keeps a flipped bit from asking for 16 GiB.
 */
import { formatAddress } from '../native/errors.js';
import { GRANULE_BYTES } from '../shadow/segment.js';
import { ADDRESS_LIMIT, EVENT_WORDS, LAST_OP, Op, opName, WORD } from './format.js';

/** How far the number of a new goroutine may be above the count of goroutines started so far. */
const NUMBER_SLACK = 2 ** 20;

/** What a goroutine's word says: never started (and so says the word of goroutine 0, which is none), or ended. */
const UNKNOWN = 0;
const ENDED = -1;
/** A running goroutine's word is this plus the functions that it is in: one FuncEnter never makes it of another. */
const RUNNING = 2;

const READS_AND_WRITES: readonly number[] = [Op.Read, Op.ReadPC, Op.Write, Op.WritePC];
const ATOMICS: readonly number[] = [
  Op.AtomicLoad,
  Op.AtomicStore,
  Op.AtomicExchange,
  Op.AtomicFetchAdd,
  Op.AtomicCompareAndSwap,
];
const RANGES: readonly number[] = [Op.MapShadow, Op.ReadRange, Op.WriteRange, Op.Malloc, Op.Free];
const NEED_NO_GOROUTINE: readonly number[] = [Op.Finalize, Op.MapShadow, Op.GoStart, Op.Malloc, Op.Free];

/** For each op byte: bit n of the low half is set if n is an access size it may have; none for what is no op. */
const RULE = new Int32Array(256).fill(1 << 0, Op.Initialize, LAST_OP + 1);
for (const op of READS_AND_WRITES) RULE[op] = 1 << 1;
for (const op of ATOMICS) RULE[op] = (1 << 4) | (1 << 8);
/** Bits that no high word has in the common path: it is below 2^15 there, where Go keeps its memory and no range can wrap. */
export const UNCOMMON_HIGHS = ~0x7fff;

/** Where the size of the access begins in an event's first word. */
export const SIZE_SHIFT = 16;

/** The high half is what the op adds to its goroutine's word. */
const STEP_SHIFT = 16;
RULE[Op.FuncEnter] = (1 << 0) | (1 << STEP_SHIFT);
RULE[Op.FuncExit] = (1 << 0) | (-1 << STEP_SHIFT);

/** {@link RULE} of the common path: no size is allowed for the ops that it must leave to others. */
const COMMON_RULE = RULE.slice();
/** A bit more: goroutine 0 may make the call. No size of the common path is as large as this bit's number. */
const NEEDS_NONE = 1 << 15;
for (const op of NEED_NO_GOROUTINE) COMMON_RULE[op] = (RULE[op] as number) | NEEDS_NONE;
for (const op of [Op.Initialize, Op.GoStart, Op.GoEnd]) COMMON_RULE[op] = 0;

/** Checks the events of one recording, in order. */
export class EventValidator {
  /** A word for each goroutine number, as above. */
  goroutines = new Int32Array(1024);
  #started = 0;
  #initialized = false;

  /**
   * Checks the events from number `from` on, of `count` that follow those that were checked before.
   * @returns the index (in events) of the first that is wrong, or -1. After one was wrong, no more may be checked:
   * {@link explain} says what it is.
   */
  check(words: Int32Array, from: number, count: number): number {
    for (let i = from; i < count; i++) if (!this.admit(words, i * EVENT_WORDS)) return i;
    return -1;
  }

  /** Whether the event whose first word is at `at` is without fault; what it does to its goroutine is noted then. */
  admit(words: Int32Array, at: number): boolean {
    const head = words[at] as number;
    const goroutine = words[at + 1] as number;
    const goroutines = this.goroutines;
    const rule = COMMON_RULE[head & 0xff] as number;
    const highs = (words[at + 3] as number) | (words[at + 5] as number) | (words[at + 7] as number);
    if (
      goroutine >= 0 &&
      goroutine < goroutines.length &&
      isCommon(rule, head, words[at + 2] as number, highs)
    ) {
      const state = (goroutines[goroutine] as number) + (rule >> STEP_SHIFT);
      if (state >= RUNNING || (goroutine === 0 && (rule & NEEDS_NONE) !== 0)) {
        goroutines[goroutine] = state;
        return true;
      }
    }
    if (this.#fault(words, at) !== undefined) return false;
    this.#apply(words, at);
    return true;
  }

  /** Whether a goroutine of that number is none that is known to run, or to have run. */
  isUnknown(goroutine: number): boolean {
    return (this.goroutines[goroutine] ?? UNKNOWN) === UNKNOWN;
  }

  /** A goroutine runs whose start was before the events that are checked. */
  assume(goroutine: number): void {
    this.#start(goroutine);
  }

  /** A running goroutine is in so many functions: for who does not have every event of it admitted. */
  noteDepth(goroutine: number, functions: number): void {
    if ((this.goroutines[goroutine] ?? UNKNOWN) >= RUNNING) this.goroutines[goroutine] = RUNNING + functions;
  }

  /**
   * What is wrong with an event that was not admitted, and what was expected there.
   * @param index its number in `words`
   */
  explain(words: Int32Array, index: number): string {
    return this.#fault(words, index * EVENT_WORDS) ?? 'nothing';
  }

  /** What is wrong with any event; undefined if nothing is. Everything that {@link admit} checks, and the rest. */
  #fault(words: Int32Array, at: number): string | undefined {
    const head = words[at] as number;
    const op = head & 0xff;
    const size = head >>> SIZE_SHIFT;
    const goroutine = (words[at + WORD.goroutine] as number) >>> 0;
    const addr = valueAt(words, at + WORD.addrLow);
    const arg = valueAt(words, at + WORD.argLow);
    const pc = valueAt(words, at + WORD.pcLow);
    const rule = RULE[op] as number;
    const call = opName(op);
    if (rule === 0) return `the op is ${op}, expected 1 to ${LAST_OP}`;
    if (size >= STEP_SHIFT || ((rule >>> size) & 1) === 0)
      return `${call} with an access size of ${size} bytes, expected ${expectedSize(op)}`;
    if (Math.max(addr, arg, pc) >= ADDRESS_LIMIT)
      return `${call} with addr 0x${addr.toString(16)}, arg 0x${arg.toString(16)} and pc 0x${pc.toString(16)}, expected all three below 2^48`;
    if ((addr % GRANULE_BYTES) + size > GRANULE_BYTES)
      return `${call} of ${size} bytes at ${formatAddress(addr)}, expected one inside a granule of ${GRANULE_BYTES} bytes`;
    if (RANGES.includes(op) && addr + arg > ADDRESS_LIMIT)
      return `${call} of ${arg} bytes at ${formatAddress(addr)}, expected a range that ends at 2^48 or before`;
    if (op === Op.Initialize)
      return this.#initialized ? 'a second Initialize, expected one' : this.#startFault(call, goroutine);
    const state = this.goroutines[goroutine] ?? UNKNOWN;
    if (goroutine === 0 && !NEED_NO_GOROUTINE.includes(op))
      return `${call} by goroutine 0, expected the number of a goroutine that was started`;
    if (goroutine !== 0 && state === UNKNOWN)
      return `${call} by goroutine ${goroutine}, which was never started; expected its GoStart or Initialize before`;
    if (state === ENDED)
      return `${call} by goroutine ${goroutine} after its GoEnd, expected no call of it there`;
    if (op === Op.FuncExit && state === RUNNING)
      return `FuncExit by goroutine ${goroutine}, which is in no function; expected a FuncEnter before`;
    return op === Op.GoStart ? this.#startFault(call, arg) : undefined;
  }

  /** Why a goroutine cannot start; undefined if it can. */
  #startFault(call: string, goroutine: number): string | undefined {
    if (goroutine === 0 || goroutine > this.#started + NUMBER_SLACK)
      return `${call} of goroutine ${goroutine}, expected a number of 1 or more, in the order of starting (${this.#started} started so far)`;
    if ((this.goroutines[goroutine] ?? UNKNOWN) !== UNKNOWN)
      return `${call} of goroutine ${goroutine}, which was started before; expected a new number`;
    return undefined;
  }

  /** Notes what an event without fault does to the goroutines. */
  #apply(words: Int32Array, at: number): void {
    const op = (words[at] as number) & 0xff;
    const goroutine = words[at + WORD.goroutine] as number;
    if (op === Op.GoEnd) this.goroutines[goroutine] = ENDED;
    else if (op === Op.GoStart) this.#start(words[at + WORD.argLow] as number);
    else if (op === Op.Initialize) this.#start(goroutine);
    else if (goroutine !== 0)
      this.goroutines[goroutine] =
        (this.goroutines[goroutine] as number) + ((RULE[op] as number) >> STEP_SHIFT);
    this.#initialized ||= op === Op.Initialize;
  }

  #start(goroutine: number): void {
    if (goroutine >= this.goroutines.length) {
      const larger = new Int32Array(2 ** (1 + Math.floor(Math.log2(goroutine))));
      larger.set(this.goroutines);
      this.goroutines = larger;
    }
    this.goroutines[goroutine] = RUNNING;
    this.#started++;
  }
}

/**
 * Whether all is well with an event but for its goroutine. False says nothing.
 * @param rule what COMMON_RULE has for the op
 * @param highs the high words of addr, arg and pc, joined by or
 */
function isCommon(rule: number, head: number, low: number, highs: number): boolean {
  const size = head >>> SIZE_SHIFT;
  return (
    (highs & UNCOMMON_HIGHS) === 0 &&
    // Only an atomic is long enough to cross the edge of a granule; and past this, size is a shift.
    (low & (GRANULE_BYTES - 1)) + size <= GRANULE_BYTES &&
    ((rule >>> size) & 1) !== 0
  );
}

/** The 64-bit value whose low word is at `low`, exact below 2^53. */
function valueAt(words: Int32Array, low: number): number {
  return ((words[low + 1] as number) >>> 0) * 2 ** 32 + ((words[low] as number) >>> 0);
}

function expectedSize(op: number): string {
  if (READS_AND_WRITES.includes(op)) return '1';
  return ATOMICS.includes(op) ? '4 or 8' : '0';
}
