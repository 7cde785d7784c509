/**
 * What the tests of the heap put in its seams: memory that runs out on demand, and race hooks that remember.
 */
import { nativeMemory } from '../../lib/heap/os.js';
import type { RaceHooks } from '../../lib/heap/race-hooks.js';
import type { OsMemory, SysReservation, WindowSet } from '../../lib/heap/sys.js';
import { LazyShadowError } from '../../lib/native/errors.js';

/**
 * Where V8 never is: it scatters its pages at random, on Windows below 4 TiB, Go's hint among them, and on Linux below
 * 64 TiB. Go's 64-bit Linux form does not reserve its arena, and so may meet them.
 */
export const AWAY_FROM_V8 = 0x4480_0000_0000;

export type Verb = 'reserve' | 'commit' | 'decommit' | 'purge' | 'open';

/** Real memory that refuses when it is told to. */
export class FaultyMemory implements OsMemory {
  readonly #real = nativeMemory();
  readonly pageSizeBytes: number;
  readonly allocationGranularityBytes: number;
  /** Every call so far. */
  calls: { verb: Verb; address: number; sizeBytes: number }[] = [];
  /** Calls for which this is true are refused. */
  refuse: (verb: Verb, address: number, sizeBytes: number) => boolean = () => false;
  /** What a refusal says. */
  code: 'ERR_OUT_OF_MEMORY' | 'ERR_ADDRESS_TAKEN' = 'ERR_OUT_OF_MEMORY';

  constructor(pageSizeBytes?: number) {
    this.pageSizeBytes = pageSizeBytes ?? this.#real.pageSizeBytes;
    this.allocationGranularityBytes = Math.max(this.#real.allocationGranularityBytes, this.pageSizeBytes);
  }

  /** Refuses the nth call from now on (0 is the next), of any verb that can run out, and only that. */
  refuseNth(n: number): void {
    let left = n;
    this.refuse = (verb) => (verb === 'reserve' || verb === 'commit' || verb === 'open') && left-- === 0;
  }

  #ask(verb: Verb, address: number, sizeBytes: number): void {
    this.calls.push({ verb, address, sizeBytes });
    if (!this.refuse(verb, address, sizeBytes)) return;
    throw new LazyShadowError(this.code, `${verb}: refused by the test.`, {
      verb,
      address,
      sizeBytes,
      osCode: 12,
    });
  }

  reserve(sizeBytes: number, options?: { address?: number; exact?: boolean }): SysReservation {
    this.#ask('reserve', options?.address ?? 0, sizeBytes);
    const real = this.#real.reserve(sizeBytes, options);
    return {
      address: real.address,
      sizeBytes: real.sizeBytes,
      commit: (at, size) => {
        this.#ask('commit', at, size);
        return real.commit(at, size);
      },
      decommit: (at, size) => {
        this.#ask('decommit', at, size);
        return real.decommit(at, size);
      },
      purge: (at, size) => {
        this.#ask('purge', at, size);
        real.purge(at, size);
      },
      release: () => real.release(),
      committedRanges: () => real.committedRanges(),
      stats: () => real.stats(),
    };
  }

  newWindows(): WindowSet {
    const windows = this.#real.newWindows();
    return {
      open: (address, sizeBytes) => {
        this.#ask('open', address, sizeBytes);
        return windows.open(address, sizeBytes);
      },
      close: () => windows.close(),
    };
  }
}

/** Race hooks that write down what they hear. */
export class RecordingRace implements RaceHooks {
  readonly raceenabled = true;
  calls: { hook: string; address: number; sizeBytes: number }[] = [];
  /** Called after the note was made; may throw. */
  whenCalled: (hook: string, address: number, sizeBytes: number) => void = () => {};

  #note(hook: string, address: number, sizeBytes: number): void {
    this.calls.push({ hook, address, sizeBytes });
    this.whenCalled(hook, address, sizeBytes);
  }
  racemapshadow(address: number, sizeBytes: number): void {
    this.#note('racemapshadow', address, sizeBytes);
  }
  racemalloc(address: number, sizeBytes: number): void {
    this.#note('racemalloc', address, sizeBytes);
  }
  racefree(address: number, sizeBytes: number): void {
    this.#note('racefree', address, sizeBytes);
  }
  raceunmapshadow(address: number, sizeBytes: number): void {
    this.#note('raceunmapshadow', address, sizeBytes);
  }

  /** The ranges of one hook, in order of address. */
  ranges(hook: string): { address: number; sizeBytes: number }[] {
    return this.calls.filter((call) => call.hook === hook).sort((a, b) => a.address - b.address);
  }
}

export function refusal(): LazyShadowError {
  return new LazyShadowError('ERR_OUT_OF_MEMORY', 'mapShadow: refused by the test.', { verb: 'mapShadow' });
}

/** The code of the error that a call throws, or 'no error'. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof LazyShadowError) return error.code;
    throw error;
  }
  return 'no error';
}
