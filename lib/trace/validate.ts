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
 * This runs over every event of every replay, so it is integers in typed arrays, one table look-up and no allocation;
 * the sentences are made only when there is something to say.
 *
 * Memory is 4 bytes for each goroutine. Numbers are handed out as goroutines start, so a number far above the count of
 * starts is damage; the bound is what keeps a flipped bit from asking for 16 GiB.
 */
import { formatAddress } from '../native/errors.js';
import { GRANULE_BYTES } from '../shadow/segment.js';
import { ADDRESS_LIMIT, EVENT_WORDS, LAST_OP, Op, opName, WORD } from './format.js';

/** How far the number of a new goroutine may be above the count of goroutines started so far. */
const NUMBER_SLACK = 2 ** 20;

/** What is particular about a call. 0 is for the numbers that are no call. */
const PLAIN = 1;
const ACCESS = 2;
const RANGE = 3;
const ATOMIC = 4;
const ENTER = 5;
const EXIT = 6;
const START = 7;
const END = 8;
const INITIALIZE = 9;

/** The kind of each value that the op's byte can have. */
const KIND = new Uint8Array(256);
KIND.fill(PLAIN, Op.Initialize, LAST_OP + 1);
KIND.fill(ACCESS, Op.Read, Op.WritePC + 1);
KIND.fill(ATOMIC, Op.AtomicLoad, Op.AtomicCompareAndSwap + 1);
for (const op of [Op.MapShadow, Op.ReadRange, Op.WriteRange, Op.Malloc, Op.Free]) KIND[op] = RANGE;
KIND[Op.FuncEnter] = ENTER;
KIND[Op.FuncExit] = EXIT;
KIND[Op.GoStart] = START;
KIND[Op.GoEnd] = END;
KIND[Op.Initialize] = INITIALIZE;

/** 1 for the calls that need no goroutine. */
const NEEDS_NONE = new Uint8Array(256);
for (const op of [Op.Finalize, Op.MapShadow, Op.GoStart, Op.Malloc, Op.Free]) NEEDS_NONE[op] = 1;

/** What a goroutine's word says: never started, ended, or 1 + the functions it is in. */
const UNKNOWN = 0;
const ENDED = -1;
const RUNNING = 1;

type Fault =
  | 'op'
  | 'size'
  | 'wide'
  | 'wraps'
  | 'granule'
  | 'no goroutine'
  | 'unknown'
  | 'ended'
  | 'exit'
  | 'number'
  | 'started'
  | 'initialized';

/** Checks the events of one recording, in order, batch by batch. */
export class EventValidator {
  #goroutines = new Int32Array(1024);
  #started = 0;
  #initialized = false;
  #fault: Fault = 'op';

  /**
   * Checks `count` events, 8 words each, that follow those of the last call.
   * @returns the index in `words` (in events) of the first that is wrong, or -1. After one was wrong, no more may be
   * checked: ask {@link explain} instead.
   */
  check(words: Int32Array, count: number): number {
    let goroutines = this.#goroutines;
    // The goroutine of the event before, known to be running; 0 when none is.
    let current = 0;
    for (let i = 0; i < count; i++) {
      const at = i * EVENT_WORDS;
      const head = words[at] as number;
      const goroutine = words[at + 1] as number;
      const addrLow = words[at + 2] as number;
      const addrHigh = words[at + 3] as number;
      const argHigh = words[at + 5] as number;
      const kind = KIND[head & 0xff] as number;
      if (kind === 0) return this.#wrong('op', i);
      if (((addrHigh | argHigh | (words[at + 7] as number)) & 0xffff0000) !== 0)
        return this.#wrong('wide', i);
      if (goroutine !== current || current === 0) {
        if (goroutine === 0) {
          if (NEEDS_NONE[head & 0xff] === 0) return this.#wrong('no goroutine', i);
        } else if (kind !== INITIALIZE) {
          const state =
            goroutine > 0 && goroutine < goroutines.length ? (goroutines[goroutine] as number) : 0;
          if (state < RUNNING) return this.#wrong(state === UNKNOWN ? 'unknown' : 'ended', i);
          current = goroutine;
        }
      }
      const size = head >>> 16;
      if (kind === ACCESS) {
        if (size !== 1) return this.#wrong('size', i);
        continue;
      }
      if (kind === ATOMIC) {
        if (size !== 4 && size !== 8) return this.#wrong('size', i);
        if ((addrLow & (GRANULE_BYTES - 1)) + size > GRANULE_BYTES) return this.#wrong('granule', i);
        continue;
      }
      if (size !== 0) return this.#wrong('size', i);
      switch (kind) {
        case ENTER:
          goroutines[goroutine] = (goroutines[goroutine] as number) + 1;
          break;
        case EXIT:
          if (goroutines[goroutine] === RUNNING) return this.#wrong('exit', i);
          goroutines[goroutine] = (goroutines[goroutine] as number) - 1;
          break;
        case RANGE:
          if (addrHigh + argHigh >= 0xffff && rangeEnd(words, at) > ADDRESS_LIMIT)
            return this.#wrong('wraps', i);
          break;
        case START: {
          const number = argHigh === 0 ? (words[at + 4] as number) >>> 0 : 2 ** 32;
          const fault = this.#start(number);
          if (fault !== undefined) return this.#wrong(fault, i);
          goroutines = this.#goroutines;
          break;
        }
        case END:
          goroutines[goroutine] = ENDED;
          current = 0;
          break;
        case INITIALIZE: {
          const fault = this.#initialized ? 'initialized' : this.#start(goroutine >>> 0);
          if (fault !== undefined) return this.#wrong(fault, i);
          this.#initialized = true;
          goroutines = this.#goroutines;
          break;
        }
      }
    }
    return -1;
  }

  /**
   * What is wrong with the event that {@link check} stopped at, and what was expected.
   * @param words the same words
   * @param index what check returned
   */
  explain(words: Int32Array, index: number): string {
    const at = index * EVENT_WORDS;
    const word = (field: number) => (words[at + field] as number) >>> 0;
    const op = word(WORD.head) & 0xff;
    const size = word(WORD.head) >>> 16;
    const goroutine = word(WORD.goroutine);
    const address = formatAddress(word(WORD.addrHigh) * 2 ** 32 + word(WORD.addrLow));
    const arg = word(WORD.argHigh) * 2 ** 32 + word(WORD.argLow);
    const call = opName(op);
    switch (this.#fault) {
      case 'op':
        return `the op is ${op}, expected 1 to ${LAST_OP}`;
      case 'size':
        return `${call} with an access size of ${size} bytes, expected ${expectedSize(KIND[op] as number)}`;
      case 'wide':
        return `${call} with addr ${address}, arg 0x${arg.toString(16)} and pc ${formatAddress(
          word(WORD.pcHigh) * 2 ** 32 + word(WORD.pcLow),
        )}, expected all three below 2^48`;
      case 'wraps':
        return `${call} of ${arg} bytes at ${address}, expected a range that ends at 2^48 or before`;
      case 'granule':
        return `${call} of ${size} bytes at ${address}, expected one inside a granule of ${GRANULE_BYTES} bytes`;
      case 'no goroutine':
        return `${call} by goroutine 0, expected the number of a goroutine that was started`;
      case 'unknown':
        return `${call} by goroutine ${goroutine}, which was never started; expected its GoStart or Initialize before`;
      case 'ended':
        return `${call} by goroutine ${goroutine} after its GoEnd, expected no call of it there`;
      case 'exit':
        return `FuncExit by goroutine ${goroutine}, which is in no function; expected a FuncEnter before`;
      case 'number': {
        const number = op === Op.Initialize ? goroutine : arg;
        return `${call} of goroutine ${number}, expected a number of 1 or more, in the order of starting (${this.#started} started so far)`;
      }
      case 'started':
        return `${call} of goroutine ${op === Op.Initialize ? goroutine : arg}, which was started before; expected a new number`;
      case 'initialized':
        return 'a second Initialize, expected one in a recording';
    }
  }

  #wrong(fault: Fault, index: number): number {
    this.#fault = fault;
    return index;
  }

  #start(goroutine: number): Fault | undefined {
    if (goroutine === 0 || goroutine > this.#started + NUMBER_SLACK) return 'number';
    if (goroutine >= this.#goroutines.length) {
      const larger = new Int32Array(2 ** (1 + Math.floor(Math.log2(goroutine))));
      larger.set(this.#goroutines);
      this.#goroutines = larger;
    }
    if (this.#goroutines[goroutine] !== UNKNOWN) return 'started';
    this.#goroutines[goroutine] = RUNNING;
    this.#started++;
    return undefined;
  }
}

/** One past the last byte of the range of the event at word `at`. */
function rangeEnd(words: Int32Array, at: number): number {
  const addr = ((words[at + 3] as number) >>> 0) * 2 ** 32 + ((words[at + 2] as number) >>> 0);
  const size = ((words[at + 5] as number) >>> 0) * 2 ** 32 + ((words[at + 4] as number) >>> 0);
  return addr + size;
}

function expectedSize(kind: number): string {
  if (kind === ACCESS) return '1';
  return kind === ATOMIC ? '4 or 8' : '0';
}
