/**
 * The one way in which a bad recording is reported: which recording, where in it, what is there and what was
 * expected, then what the reader of the message can do about it.
 */
import { LazyShadowError, type LazyShadowErrorDetails } from '../native/errors.js';
import { printable } from '../native/printable.js';

const ADVICE = 'The recording is damaged or cut short: copy it again, or record it again.';

/**
 * @param name the recording's file name
 * @param where `event 17`, `byte 64`, `line 3 of the symbol text`, or nothing when it is about the whole file
 * @param problem what is there, and what was expected
 */
export function badTrace(
  name: string,
  where: string,
  problem: string,
  details: LazyShadowErrorDetails = {},
): LazyShadowError {
  const place = where === '' ? name : `${name}: ${where}`;
  return new LazyShadowError('ERR_BAD_TRACE', `${printable(place)}: ${printable(problem)}. ${ADVICE}`, {
    verb: 'readTrace',
    ...details,
  });
}

/** A recording that the operating system would not open or read: its error is the cause. */
export function unreadable(name: string, cause: unknown): LazyShadowError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LazyShadowError(
    'ERR_BAD_TRACE',
    `${printable(name)}: cannot be read: ${printable(reason)}. Check the path.`,
    {
      verb: 'readTrace',
      // libuv negates errno on Unix; on Windows its numbers are its own, so they are not the system's code.
      osCode: process.platform === 'win32' ? undefined : errnoOf(cause),
      cause,
    },
  );
}

function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return undefined;
  return -error.errno;
}
