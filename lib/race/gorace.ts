/**
 * The GORACE options: space-separated `key=value`, with Go's names and defaults.
 */
import { LazyShadowError } from '../native/errors.js';

/** What the variable GORACE can say. */
export interface GoraceOptions {
  /** `stderr`, `stdout`, or a path to which `.PID` is added. */
  readonly logPath: string;
  /** The exit status of a program that raced. */
  readonly exitCode: number;
  /** Cut off the front of every file in a report. */
  readonly stripPathPrefix: string;
  /** 0–7: each goroutine's history holds 32 Ki × 2^historySize accesses. */
  readonly historySize: number;
  /** Whether to stop after the first report. */
  readonly haltOnError: boolean;
  /** How long a program that raced sleeps before it exits. */
  readonly atexitSleepMs: number;
  /** Whether the same pair of stacks is reported once. */
  readonly suppressEqualStacks: boolean;
  /** Whether the same address is reported once. */
  readonly suppressEqualAddresses: boolean;
}

/** What Go does when GORACE is empty. */
export const DEFAULT_GORACE: GoraceOptions = {
  logPath: 'stderr',
  exitCode: 66,
  stripPathPrefix: '',
  historySize: 1,
  haltOnError: false,
  atexitSleepMs: 1000,
  suppressEqualStacks: true,
  suppressEqualAddresses: true,
};

/** Accesses in a goroutine's history at history_size 0, as in Go. */
const HISTORY_BASE = 32 * 1024;

/** Accesses that each goroutine's history holds. */
export function historyEntries(historySize: number): number {
  return HISTORY_BASE * 2 ** historySize;
}

type Mutable = { -readonly [Key in keyof GoraceOptions]: GoraceOptions[Key] };

/** What each key does to the options. */
const KEYS: Readonly<Record<string, (options: Mutable, value: string, key: string) => void>> = {
  log_path: (options, value) => {
    options.logPath = value;
  },
  exitcode: (options, value, key) => {
    options.exitCode = integer(key, value, 0, 255);
  },
  strip_path_prefix: (options, value) => {
    options.stripPathPrefix = value;
  },
  history_size: (options, value, key) => {
    options.historySize = integer(key, value, 0, 7);
  },
  halt_on_error: (options, value, key) => {
    options.haltOnError = flag(key, value);
  },
  atexit_sleep_ms: (options, value, key) => {
    options.atexitSleepMs = integer(key, value, 0, 2 ** 31 - 1);
  },
  suppress_equal_stacks: (options, value, key) => {
    options.suppressEqualStacks = flag(key, value);
  },
  suppress_equal_addresses: (options, value, key) => {
    options.suppressEqualAddresses = flag(key, value);
  },
};

/**
 * Reads a GORACE string; of a key given twice the last one counts, as in Go. A value with a space is quoted.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT: a word that is no key=value, an unknown key, a bad value
 */
export function parseGorace(text: string): GoraceOptions {
  const options: Mutable = { ...DEFAULT_GORACE };
  const WORD = /\s*([^\s=]+)=("[^"]*"|'[^']*'|\S*)(?=\s|$)/y;
  const end = text.trimEnd().length;
  while (WORD.lastIndex < end) {
    const at = WORD.lastIndex;
    const [, key = '', quoted = ''] = WORD.exec(text) ?? [];
    if (key === '') throw invalid(`GORACE has ${JSON.stringify(text.slice(at).trim())}, expected key=value`);
    const set = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    if (set === undefined) {
      throw invalid(`GORACE has no option ${JSON.stringify(key)}; it has ${Object.keys(KEYS).join(', ')}`);
    }
    set(options, quoted.replace(/^(["'])(.*)\1$/, '$2'), key);
  }
  return options;
}

function integer(key: string, value: string, min: number, max: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw invalid(`GORACE has ${key}=${value}, expected an integer from ${min} to ${max}`);
}

/** The words that ThreadSanitizer takes for a flag. */
function flag(key: string, value: string): boolean {
  if (value === '1' || value === 'yes' || value === 'true') return true;
  if (value === '0' || value === 'no' || value === 'false') return false;
  throw invalid(`GORACE has ${key}=${value}, expected 0 or 1`);
}

function invalid(message: string): LazyShadowError {
  return new LazyShadowError('ERR_INVALID_ARGUMENT', `${message}.`, { verb: 'GORACE' });
}
