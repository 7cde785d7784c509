/**
 * Go's package runtime/race: the detector's calls with plain numbers, one object for a program.
 *
 * Addresses and pcs are numbers (below 2^48); goroutines are numbers of the caller's choice, 1 or more, never used
 * twice. Every call is checked, and a call that is not allowed throws and changes nothing. One that the system has no
 * memory for may have been made in part; made again, it is completed. The order of calls is the order of events:
 * whoever runs goroutines at once decides on one.
 */
import { shown } from '../native/arguments.js';
import { formatAddress, LazyShadowError } from '../native/errors.js';
import { claimWindows, type Shadow } from '../shadow/shadow.js';
import { PLAIN_WRITE, READ } from './access.js';
import { Detector } from './detector.js';
import { DEFAULT_GORACE, type GoraceOptions, historyEntries } from './gorace.js';
import { RaceLog } from './race-log.js';
import { RacyBytes } from './racy-bytes.js';
import type { RaceReport } from './report.js';
import { DetectorWitness } from './witness.js';

/** What a race runtime is made of. */
export interface RaceOptions {
  /** The shadow to keep cells in: one that no other race runtime has had. It stays the caller's. */
  readonly shadow: Shadow;
  /** As the variable GORACE. Default: as Go. */
  readonly gorace?: GoraceOptions;
  /** Called with each report, during the access that found it. */
  readonly onReport?: (report: RaceReport) => void;
}

/** What an atomic does. */
export type AtomicKind = 'load' | 'store' | 'update' | 'failedSwap';

const HIGH = 2 ** 32;

/** Addresses are below this. */
const ADDRESS_LIMIT = 2 ** 48;

/** A program that is checked for races, as it tells what it does. Addresses and pcs are below 2^48, sizes in bytes. */
export class Race {
  readonly #detector: Detector;
  readonly #log: RaceLog;
  readonly #racy = new RacyBytes();
  readonly #shadow: Shadow;
  #finished = false;

  /**
   * A program that has not begun: {@link Race.initialize} begins it.
   * @param options the shadow, which must be fresh, and where reports go
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_INVALID_USE (the shadow has a race runtime), ERR_RELEASED
   */
  constructor(options: RaceOptions) {
    if (typeof options !== 'object' || options === null) {
      throw new LazyShadowError('ERR_INVALID_ARGUMENT', 'new Race: the options must be an object.', {
        verb: 'new Race',
      });
    }
    const { shadow, gorace = DEFAULT_GORACE, onReport = () => {} } = options;
    const windows = claimWindows('new Race', shadow);
    this.#shadow = shadow;
    this.#log = new RaceLog({ gorace, ranges: shadow.layout.application, onReport });
    this.#detector = Detector.take({
      shadow: windows,
      historyEntries: historyEntries(gorace.historySize),
      onSighting: (sighting) => {
        this.#racy.add(sighting.granule, sighting.word & sighting.oldWord);
        this.#log.add(witness, sighting);
      },
      markStacks: (mark) => this.#log.markStacks(mark),
    });
    const witness = new DetectorWitness(this.#detector);
  }

  /** Reports made so far. */
  get reportCount(): number {
    return this.#log.reportCount;
  }

  /** Every byte that two accesses raced on so far, before any suppression; ascending. */
  racyAddresses(): number[] {
    return this.#racy.addresses();
  }

  /**
   * The program begins, with its first goroutine.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  initialize(mainGoroutine: number): void {
    this.#by(mainGoroutine);
    this.#detector.initialize(mainGoroutine);
  }

  /**
   * The program ends: no call is allowed after it.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  finalize(): void {
    this.#live();
    this.#finished = true;
    Detector.giveBack(this.#detector);
  }

  /**
   * Memory that will be accessed: what is not mapped is not looked at.
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_RANGE, ERR_OUT_OF_MEMORY as Shadow.mapShadow
   */
  mapShadow(address: number, sizeBytes: number): void {
    this.#live();
    this.#detector.mapShadow(checkedAddress(address), checkedSize(address, sizeBytes));
  }

  /**
   * Pages went back to the system and their shadow follows: accesses and sync objects there are forgotten.
   * The opposite of mapShadow, which Go does not have.
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_RANGE as Shadow.unmapShadow
   */
  unmapShadow(address: number, sizeBytes: number): void {
    this.#live();
    const [start, size] = [checkedAddress(address), checkedSize(address, sizeBytes)];
    if (size === 0) return;
    this.#detector.unmapShadow(start, size);
    this.#shadow.unmapShadow(start, size);
  }

  /**
   * The goroutine that runs finalizers: it knows all that others have done so far, locks or none.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  finalizerGoroutine(goroutine: number): void {
    this.#by(goroutine);
    this.#detector.finalizerGoroutine(goroutine);
  }

  /**
   * A read of one byte.
   * @param pc the instruction, for reports
   * @param callerPc the call that it was made by, if that is not what funcEnter said; 0 if it is
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_MEMORY
   */
  read(goroutine: number, address: number, pc: number, callerPc = 0): void {
    this.#access(goroutine, READ, address, pc, callerPc);
  }

  /**
   * A write of one byte; as {@link Race.read}.
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_MEMORY
   */
  write(goroutine: number, address: number, pc: number, callerPc = 0): void {
    this.#access(goroutine, PLAIN_WRITE, address, pc, callerPc);
  }

  /**
   * A read of `sizeBytes` bytes.
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_MEMORY
   */
  readRange(goroutine: number, address: number, sizeBytes: number, pc: number): void {
    this.#range(goroutine, READ, address, sizeBytes, pc);
  }

  /**
   * A write of `sizeBytes` bytes.
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_MEMORY
   */
  writeRange(goroutine: number, address: number, sizeBytes: number, pc: number): void {
    this.#range(goroutine, PLAIN_WRITE, address, sizeBytes, pc);
  }

  /**
   * A function was called from `pc`.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  funcEnter(goroutine: number, pc: number): void {
    this.#by(goroutine);
    checkedPc(pc);
    this.#detector.funcEnter(goroutine, pc | 0, Math.floor(pc / HIGH));
  }

  /**
   * The innermost function returned.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  funcExit(goroutine: number): void {
    this.#by(goroutine);
    this.#detector.funcExit(goroutine);
  }

  /**
   * A block was allocated: what was accessed there before is forgotten.
   * @param goroutine who allocates, 0 if nobody knows: it is for reports alone
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_MEMORY
   */
  malloc(address: number, sizeBytes: number, goroutine = 0): void {
    this.#by(goroutine);
    checkedAddress(address);
    checkedSize(address, sizeBytes);
    this.#detector.malloc(address | 0, Math.floor(address / HIGH), sizeBytes, goroutine);
  }

  /**
   * A block was freed: its sync objects are gone.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  free(address: number, sizeBytes: number): void {
    this.#live();
    checkedAddress(address);
    checkedSize(address, sizeBytes);
    this.#detector.free(address | 0, Math.floor(address / HIGH), sizeBytes);
  }

  /**
   * A go statement at `pc`: the new goroutine knows what its parent knows.
   * @param parent 0 for a goroutine that the runtime starts by itself
   * @throws LazyShadowError ERR_INVALID_USE
   */
  goStart(parent: number, goroutine: number, pc: number): void {
    this.#by(parent);
    checkedGoroutine(goroutine);
    checkedPc(pc);
    this.#detector.goStart(parent, goroutine, pc | 0, Math.floor(pc / HIGH));
  }

  /**
   * A goroutine ended. No call of it may follow.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  goEnd(goroutine: number): void {
    this.#by(goroutine);
    this.#detector.goEnd(goroutine);
  }

  /**
   * The goroutine knows from now on what was released at `address`.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  acquire(goroutine: number, address: number): void {
    this.#by(goroutine);
    checkedAddress(address);
    this.#detector.acquire(goroutine, address | 0, Math.floor(address / HIGH));
  }

  /**
   * Whoever acquires `address` later knows what the goroutine did so far, and nothing that was released there before.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  release(goroutine: number, address: number): void {
    this.#by(goroutine);
    checkedAddress(address);
    this.#detector.release(goroutine, address | 0, Math.floor(address / HIGH));
  }

  /**
   * As {@link Race.release}; what was released there before stays known.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  releaseMerge(goroutine: number, address: number): void {
    this.#by(goroutine);
    checkedAddress(address);
    this.#detector.releaseMerge(goroutine, address | 0, Math.floor(address / HIGH));
  }

  /**
   * Acquires what was released at `address`, and releases there.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  releaseAcquire(goroutine: number, address: number): void {
    this.#by(goroutine);
    checkedAddress(address);
    this.#detector.releaseAcquire(goroutine, address | 0, Math.floor(address / HIGH));
  }

  /**
   * Until ignoreSyncEnd, acquires and releases of the goroutine mean nothing. They nest.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  ignoreSyncBegin(goroutine: number): void {
    this.#by(goroutine);
    this.#detector.ignoreSyncBegin(goroutine);
  }

  /**
   * Ends the innermost ignoreSyncBegin.
   * @throws LazyShadowError ERR_INVALID_USE
   */
  ignoreSyncEnd(goroutine: number): void {
    this.#by(goroutine);
    this.#detector.ignoreSyncEnd(goroutine);
  }

  /**
   * An atomic operation: an access, with an acquire, a release or both as its kind has them.
   * @param sizeBytes of the access
   * @throws LazyShadowError ERR_INVALID_USE; ERR_OUT_OF_MEMORY
   */
  atomic(
    goroutine: number,
    kind: AtomicKind,
    address: number,
    sizeBytes: 4 | 8,
    pc: number,
    callerPc = 0,
  ): void {
    this.#by(goroutine);
    checkedAddress(address);
    checkedPc(pc);
    checkedPc(callerPc);
    if (sizeBytes !== 4 && sizeBytes !== 8)
      throw invalid(`an atomic of ${shown(sizeBytes)} bytes, expected 4 or 8`);
    checkedSize(address, sizeBytes);
    const low = address | 0;
    const high = Math.floor(address / HIGH);
    const pcHigh = Math.floor(pc / HIGH);
    const detector = this.#detector;
    if (kind === 'load') detector.atomicLoad(goroutine, low, high, sizeBytes, pc | 0, pcHigh, callerPc);
    else if (kind === 'store')
      detector.atomicStore(goroutine, low, high, sizeBytes, pc | 0, pcHigh, callerPc);
    else if (kind === 'update')
      detector.atomicUpdate(goroutine, low, high, sizeBytes, pc | 0, pcHigh, callerPc);
    else detector.atomicFailedSwap(goroutine, low, high, sizeBytes, pc | 0, pcHigh, callerPc);
  }

  #access(goroutine: number, kind: number, address: number, pc: number, callerPc: number): void {
    this.#by(goroutine);
    checkedAddress(address);
    checkedPc(pc);
    const low = address | 0;
    const high = Math.floor(address / HIGH);
    const pcHigh = Math.floor(pc / HIGH);
    const { accesses, goroutines } = this.#detector;
    const slot = goroutines.slotOf(goroutine);
    if (callerPc === 0) {
      accesses.one(slot, kind, low, high, pc | 0, pcHigh);
    } else {
      checkedPc(callerPc);
      accesses.called(slot, kind, low, high, 1, pc | 0, pcHigh, callerPc);
    }
  }

  #range(goroutine: number, kind: number, address: number, sizeBytes: number, pc: number): void {
    this.#by(goroutine);
    checkedAddress(address);
    checkedSize(address, sizeBytes);
    checkedPc(pc);
    const high = Math.floor(address / HIGH);
    const { accesses, goroutines } = this.#detector;
    accesses.range(
      goroutines.slotOf(goroutine),
      kind,
      address | 0,
      high,
      sizeBytes,
      pc | 0,
      Math.floor(pc / HIGH),
    );
  }

  /** A call by a goroutine; whether there is one the detector knows. */
  #by(goroutine: number): void {
    this.#live();
    checkedGoroutine(goroutine);
  }

  #live(): void {
    if (this.#finished) throw invalid('the race runtime has been finalized');
  }
}

function checkedGoroutine(goroutine: number): void {
  if (!Number.isInteger(goroutine)) throw invalid(`${shown(goroutine)} is no goroutine`);
}

function checkedAddress(address: number): number {
  if (Number.isInteger(address) && address >= 0 && address < ADDRESS_LIMIT) return address;
  throw invalid(`${shown(address)} is no address below 2^48`);
}

function checkedPc(pc: number): void {
  if (!Number.isInteger(pc) || pc < 0 || pc >= ADDRESS_LIMIT)
    throw invalid(`${shown(pc)} is no pc below 2^48`);
}

function checkedSize(address: number, sizeBytes: number): number {
  if (Number.isInteger(sizeBytes) && sizeBytes >= 0 && address + sizeBytes <= ADDRESS_LIMIT) return sizeBytes;
  throw invalid(`${shown(sizeBytes)} bytes at ${formatAddress(address)} are no range below 2^48`);
}

function invalid(what: string): LazyShadowError {
  return new LazyShadowError('ERR_INVALID_USE', `Not allowed: ${what}.`, { verb: 'race' });
}
