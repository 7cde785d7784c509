/**
 * Go's runtime/race.c: what instrumented code and the runtime call. Names and order of arguments are Go's, with a
 * goroutine's number where Go has a context; race0.ts has the same names doing nothing.
 *
 * Like race.c it drops what is not in memory it watches: an access outside the data segment and the arena, as
 * racemapshadow named them, is to a stack.
 */
import type { RaceHooks } from '../heap/race-hooks.js';
import { Race, type RaceOptions } from './package-race.js';

/**
 * Everything that race.ts and race0.ts have in common. Goroutines are numbers of the caller's choice, 1 or more; addresses and
 * pcs are below 2^48, sizes in bytes.
 * {@link race0} throws nothing; {@link createRaceRuntime} says what a runtime that checks throws.
 */
export interface RaceRuntime extends RaceHooks {
  /** The program starts: its main goroutine, and its data and bss, which get their shadow here. */
  raceinit(mainGoroutine: number, dataAddress?: number, dataSizeBytes?: number): void;
  /** The program ends. Returns the number of races found, as RaceErrors does. */
  racefini(): number;
  /** A go statement at `pc`; `parent` 0 for a goroutine that the runtime starts by itself. */
  racegostart(parent: number, goroutine: number, pc: number): void;
  /** A goroutine ended. */
  racegoend(goroutine: number): void;
  /** A goroutine is about to run finalizers. */
  racefingo(goroutine: number): void;
  /** An access of one byte, by the instruction at `pc`. */
  raceread(goroutine: number, address: number, pc: number): void;
  /** As raceread, a write. */
  racewrite(goroutine: number, address: number, pc: number): void;
  /** As raceread, called from `callerPc`, which reports then show below `pc`. */
  racereadpc(goroutine: number, address: number, callerPc: number, pc: number): void;
  /** As racereadpc, a write. */
  racewritepc(goroutine: number, address: number, callerPc: number, pc: number): void;
  /** An access of `sizeBytes` bytes from `address` on. */
  racereadrange(goroutine: number, address: number, sizeBytes: number, pc: number): void;
  /** As racereadrange, a write. */
  racewriterange(goroutine: number, address: number, sizeBytes: number, pc: number): void;
  /** A function was called from `pc`: its frame is in the stacks of reports until racefuncexit. */
  racefuncenter(goroutine: number, pc: number): void;
  /** The innermost function returned. */
  racefuncexit(goroutine: number): void;
  /** What was released at `address` before is known to the goroutine from now on: a lock was taken, a message received. */
  raceacquire(goroutine: number, address: number): void;
  /** What the goroutine did so far is known to whoever acquires `address` later; what others released there is forgotten. */
  racerelease(goroutine: number, address: number): void;
  /** As racerelease, and what others released there stays known. */
  racereleasemerge(goroutine: number, address: number): void;
  /** Both at once, as a send on a buffered channel does. */
  racereleaseacquire(goroutine: number, address: number): void;
  /** The …g forms: a goroutine does it on behalf of another, which blocks; nothing while the first one is disabled. */
  raceacquireg(caller: number, goroutine: number, address: number): void;
  /** As raceacquireg. */
  racereleaseg(caller: number, goroutine: number, address: number): void;
  /** As raceacquireg. */
  racereleasemergeg(caller: number, goroutine: number, address: number): void;
  /** As raceacquireg. */
  racereleaseacquireg(caller: number, goroutine: number, address: number): void;
  /** IgnoreSyncBegin: they nest. */
  raceDisable(goroutine: number): void;
  /** IgnoreSyncEnd. */
  raceEnable(goroutine: number): void;
  /** An atomic read, which acquires. */
  raceatomicload(goroutine: number, address: number, sizeBytes: 4 | 8, callerPc: number, pc: number): void;
  /** An atomic write, which releases. */
  raceatomicstore(goroutine: number, address: number, sizeBytes: 4 | 8, callerPc: number, pc: number): void;
  /** An atomic read and write in one, which acquires and releases. */
  raceatomicexchange(
    goroutine: number,
    address: number,
    sizeBytes: 4 | 8,
    callerPc: number,
    pc: number,
  ): void;
  /** As raceatomicexchange. */
  raceatomicadd(goroutine: number, address: number, sizeBytes: 4 | 8, callerPc: number, pc: number): void;
  /** A compare-and-swap: as raceatomicexchange if it `succeeded`, else an atomic write that acquires and does not release. */
  raceatomiccas(
    goroutine: number,
    address: number,
    sizeBytes: 4 | 8,
    succeeded: boolean,
    callerPc: number,
    pc: number,
  ): void;

  // The functions that Go offers to everyone, for memory and locks that it knows nothing of.
  /** As raceread. */
  RaceRead(goroutine: number, address: number, pc: number): void;
  /** As racewrite. */
  RaceWrite(goroutine: number, address: number, pc: number): void;
  /** As racereadrange. */
  RaceReadRange(goroutine: number, address: number, sizeBytes: number, pc: number): void;
  /** As racewriterange. */
  RaceWriteRange(goroutine: number, address: number, sizeBytes: number, pc: number): void;
  /** As raceacquire. */
  RaceAcquire(goroutine: number, address: number): void;
  /** As racerelease. */
  RaceRelease(goroutine: number, address: number): void;
  /** As racereleasemerge. */
  RaceReleaseMerge(goroutine: number, address: number): void;
  /** As raceDisable. */
  RaceDisable(goroutine: number): void;
  /** As raceEnable. */
  RaceEnable(goroutine: number): void;
  /** Reports made so far. */
  RaceErrors(): number;
}

/** A race runtime that checks. */
export interface CheckingRuntime extends RaceRuntime {
  /** Every byte that two accesses raced on so far, before any suppression; ascending. */
  racyAddresses(): number[];
}

/**
 * The race runtime over a shadow.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_INVALID_USE (the shadow has a race runtime), ERR_RELEASED. From each of its
 *   calls: ERR_INVALID_USE, what the protocol does not allow, and nothing has changed; ERR_OUT_OF_MEMORY, no shadow can be
 *   had, and made again the call is completed
 */
export function createRaceRuntime(options: RaceOptions): CheckingRuntime {
  const race = new Race(options);
  /** Depth of raceDisable for each goroutine that has any: the …g forms ask the caller's. */
  const disabled = new Map<number, number>();

  const raceread = (goroutine: number, address: number, pc: number) => race.read(goroutine, address, pc);
  const racewrite = (goroutine: number, address: number, pc: number) => race.write(goroutine, address, pc);
  const racereadrange = (goroutine: number, address: number, sizeBytes: number, pc: number) =>
    race.readRange(goroutine, address, sizeBytes, pc);
  const racewriterange = (goroutine: number, address: number, sizeBytes: number, pc: number) =>
    race.writeRange(goroutine, address, sizeBytes, pc);
  const raceacquire = (goroutine: number, address: number) => race.acquire(goroutine, address);
  const racerelease = (goroutine: number, address: number) => race.release(goroutine, address);
  const racereleasemerge = (goroutine: number, address: number) => race.releaseMerge(goroutine, address);
  const racereleaseacquire = (goroutine: number, address: number) => race.releaseAcquire(goroutine, address);
  const raceDisable = (goroutine: number) => {
    race.ignoreSyncBegin(goroutine);
    disabled.set(goroutine, (disabled.get(goroutine) ?? 0) + 1);
  };
  const raceEnable = (goroutine: number) => {
    race.ignoreSyncEnd(goroutine);
    const depth = (disabled.get(goroutine) ?? 0) - 1;
    if (depth > 0) disabled.set(goroutine, depth);
    else disabled.delete(goroutine);
  };
  const raceerrors = () => race.reportCount;

  return {
    raceenabled: true,
    raceinit(mainGoroutine, dataAddress = 0, dataSizeBytes = 0) {
      race.initialize(mainGoroutine);
      if (dataSizeBytes > 0) race.mapShadow(dataAddress, dataSizeBytes);
    },
    racefini() {
      race.finalize();
      return race.reportCount;
    },
    racemapshadow: (address, sizeBytes) => race.mapShadow(address, sizeBytes),
    raceunmapshadow: (address, sizeBytes) => race.unmapShadow(address, sizeBytes),
    racemalloc: (address, sizeBytes) => race.malloc(address, sizeBytes),
    racefree: (address, sizeBytes) => race.free(address, sizeBytes),
    racegostart: (parent, goroutine, pc) => race.goStart(parent, goroutine, pc),
    racegoend(goroutine) {
      race.goEnd(goroutine);
      disabled.delete(goroutine);
    },
    racefingo: (goroutine) => race.finalizerGoroutine(goroutine),
    raceread,
    racewrite,
    racereadpc: (goroutine, address, callerPc, pc) => race.read(goroutine, address, pc, callerPc),
    racewritepc: (goroutine, address, callerPc, pc) => race.write(goroutine, address, pc, callerPc),
    racereadrange,
    racewriterange,
    racefuncenter: (goroutine, pc) => race.funcEnter(goroutine, pc),
    racefuncexit: (goroutine) => race.funcExit(goroutine),
    raceacquire,
    racerelease,
    racereleasemerge,
    racereleaseacquire,
    raceacquireg(caller, goroutine, address) {
      if (!disabled.has(caller)) race.acquire(goroutine, address);
    },
    racereleaseg(caller, goroutine, address) {
      if (!disabled.has(caller)) race.release(goroutine, address);
    },
    racereleasemergeg(caller, goroutine, address) {
      if (!disabled.has(caller)) race.releaseMerge(goroutine, address);
    },
    racereleaseacquireg(caller, goroutine, address) {
      if (!disabled.has(caller)) race.releaseAcquire(goroutine, address);
    },
    raceDisable,
    raceEnable,
    raceatomicload: (goroutine, address, sizeBytes, callerPc, pc) =>
      race.atomic(goroutine, 'load', address, sizeBytes, pc, callerPc),
    raceatomicstore: (goroutine, address, sizeBytes, callerPc, pc) =>
      race.atomic(goroutine, 'store', address, sizeBytes, pc, callerPc),
    raceatomicexchange: (goroutine, address, sizeBytes, callerPc, pc) =>
      race.atomic(goroutine, 'update', address, sizeBytes, pc, callerPc),
    raceatomicadd: (goroutine, address, sizeBytes, callerPc, pc) =>
      race.atomic(goroutine, 'update', address, sizeBytes, pc, callerPc),
    raceatomiccas: (goroutine, address, sizeBytes, succeeded, callerPc, pc) =>
      race.atomic(goroutine, succeeded ? 'update' : 'failedSwap', address, sizeBytes, pc, callerPc),
    RaceRead: raceread,
    RaceWrite: racewrite,
    RaceReadRange: racereadrange,
    RaceWriteRange: racewriterange,
    RaceAcquire: raceacquire,
    RaceRelease: racerelease,
    RaceReleaseMerge: racereleasemerge,
    RaceDisable: raceDisable,
    RaceEnable: raceEnable,
    RaceErrors: raceerrors,
    racyAddresses: () => race.racyAddresses(),
  };
}
