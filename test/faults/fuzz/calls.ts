/**
 * Makes calls and holds what comes of them against what should.
 */
import { LazyShadowError, type LazyShadowErrorCode } from '../../../lib/native/errors.js';

/** Something is not as it must be: what a run is there to find. */
export class Inconsistency extends Error {
  override readonly name = 'Inconsistency';
}

export function insist(holds: boolean, what: () => string): void {
  if (!holds) throw new Inconsistency(what());
}

/** A code that is expected, or that no code is. */
export type Expected = LazyShadowErrorCode | undefined;

export class Calls {
  count = 0;
  refused = 0;
  /** The last calls, newest last, for whoever looks at a failure. */
  readonly #last: string[] = [];

  get last(): readonly string[] {
    return this.#last;
  }

  /** Notes a call. */
  note(name: string, args: readonly unknown[]): void {
    this.count++;
    this.#last.push(`${name}(${args.map(shown).join(', ')})`);
    if (this.#last.length > 40) this.#last.shift();
  }

  /**
   * Makes a call that is to be refused with a certain code, or not at all.
   * @returns what it returned; undefined if it was refused
   */
  exactly<Result>(
    name: string,
    args: readonly unknown[],
    expected: Expected,
    call: () => Result,
  ): Result | undefined {
    const { error, result } = this.#make(name, args, call);
    insist(
      error?.code === expected,
      () =>
        `${name} gave ${error ? `${error.code} (${error.message})` : 'no error'}, not ${expected ?? 'no error'}`,
    );
    return result;
  }

  /** Makes a call that may be refused, as any call is: by an error of the library. */
  loosely<Result>(name: string, args: readonly unknown[], call: () => Result): Result | undefined {
    return this.#make(name, args, call).result;
  }

  #make<Result>(
    name: string,
    args: readonly unknown[],
    call: () => Result,
  ): { error?: LazyShadowError; result?: Result } {
    this.note(name, args);
    try {
      return { result: call() };
    } catch (error) {
      return { error: this.refusal(name, error) };
    }
  }

  /** What a call threw, which must be an error that says something. */
  refusal(name: string, error: unknown): LazyShadowError {
    if (!(error instanceof LazyShadowError)) {
      throw new Inconsistency(`${name} threw ${error instanceof Error ? error.stack : shown(error)}`);
    }
    insist(error.message.length > 10, () => `${name} says only ${JSON.stringify(error.message)}`);
    insist(error.code !== 'ERR_CORRUPT', () => `${name}: ${error.message}`);
    this.refused++;
    return error;
  }
}

function shown(value: unknown): string {
  if (typeof value === 'number') return value > 2 ** 31 ? `0x${value.toString(16)}` : String(value);
  if (typeof value === 'bigint') return value < 2n ** 64n ? `${value}n` : 'a huge bigint';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  return value === null ? 'null' : typeof value;
}
