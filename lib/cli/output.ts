/**
 * Files that commands write. One that a signal interrupts leaves no half of a file.
 */

import { accessSync, closeSync, constants, fstatSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { onExit } from 'signal-exit';
import { LazyShadowError } from '../native/errors.js';

/** Where text goes, piece by piece. */
export interface Output {
  write(text: string): void;
  close(): void;
}

/**
 * Opens a file for writing; what was there is lost.
 * @throws LazyShadowError ERR_CANNOT_WRITE
 */
export function fileOutput(path: string): Output {
  const file = writing(path, () => openSync(path, 'w'));
  const isFile = fstatSync(file).isFile();
  const forget = onExit((_code, signal) => {
    if (signal !== null && isFile) rmSync(path, { force: true });
  });
  return {
    write: (text) => {
      writing(path, () => writeSync(file, text));
    },
    close() {
      forget();
      closeSync(file);
    },
  };
}

/**
 * Fails now if a file cannot be written later, after minutes of work.
 * @throws LazyShadowError ERR_CANNOT_WRITE
 */
export function requireWritable(path: string): void {
  writing(path, () => accessSync(dirname(path), constants.W_OK));
}

function writing<T>(path: string, attempt: () => T): T {
  try {
    return attempt();
  } catch (cause) {
    throw new LazyShadowError(
      'ERR_CANNOT_WRITE',
      `${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}. Choose another place.`,
      { verb: 'write', cause },
    );
  }
}
