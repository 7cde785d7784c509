/**
 * From the addon's errors to {@link LazyShadowError}: the operating system's answer, plus what was tried and what a
 * person can do about it.
 */

import { formatAddress, LazyShadowError, type LazyShadowErrorCode } from './errors.js';

/** What native/arguments.cc puts on the errors it throws. */
interface NativeFailure {
  readonly kind: string;
  readonly address: number;
  readonly sizeBytes: number;
  readonly osCode?: number;
  readonly osText?: string;
}

function isNativeFailure(error: unknown): error is NativeFailure {
  return error instanceof Error && 'kind' in error && 'sizeBytes' in error;
}

const OUT_OF_MEMORY_ADVICE: Partial<Record<NodeJS.Platform, string>> = {
  linux:
    'The commit limit (vm.overcommit_memory=2), a limit of this process (ulimit -v, ulimit -d) or its number of ' +
    'mappings (vm.max_map_count) is used up; `lazyshadow doctor` tells which. Raise it, or commit less at a time.',
  win32:
    'The commit limit (physical memory plus page file) is used up. Close programs or enlarge the page file, ' +
    'or commit less at a time.',
};

const CODES: Record<string, { code: LazyShadowErrorCode; advice: () => string }> = {
  'out-of-memory': {
    code: 'ERR_OUT_OF_MEMORY',
    advice: () => OUT_OF_MEMORY_ADVICE[process.platform] ?? 'Free memory or address space, or ask for less.',
  },
  'address-taken': {
    code: 'ERR_ADDRESS_TAKEN',
    advice: () => 'Something else is mapped there: choose another address, or let the system choose.',
  },
  'out-of-range': {
    code: 'ERR_OUT_OF_RANGE',
    advice: () => 'The range leaves what this object covers; see its address and sizeBytes, or its layout.',
  },
  'not-committed': {
    code: 'ERR_NOT_COMMITTED',
    advice: () => 'A part of the range is reserved but not committed: commit it first.',
  },
  'in-use': {
    code: 'ERR_IN_USE',
    advice: () => 'Another thread holds a view of this memory: drop that view, or release there first.',
  },
  'not-found': {
    code: 'ERR_INVALID_ARGUMENT',
    advice: () => 'Nothing that this process still holds goes by that number: it may have been released.',
  },
  released: { code: 'ERR_RELEASED', advice: () => 'It has been released: make a new one.' },
  os: { code: 'ERR_OS', advice: () => 'The operating system refused; its code says why.' },
};

/** The public form of whatever the addon threw during `verb`. Errors that are not the addon's pass unchanged. */
export function publicError(verb: string, error: unknown): unknown {
  if (!isNativeFailure(error)) return error;
  const { code, advice } = CODES[error.kind] ?? { code: 'ERR_OS' as const, advice: () => '' };
  const size = error.sizeBytes > 0 ? ` of ${error.sizeBytes} bytes` : '';
  const place = error.address > 0 ? ` at ${formatAddress(error.address)}` : '';
  const answer = error.osText === undefined ? '' : ` (${error.osText})`;
  return new LazyShadowError(code, `${verb}${size}${place} failed${answer}. ${advice()}`, {
    verb,
    address: error.address,
    sizeBytes: error.sizeBytes,
    osCode: error.osCode,
  });
}

/** Runs one call of the addon; what it throws comes out in the public form. */
export function guarded<Result>(verb: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw publicError(verb, error);
  }
}
