/**
 * Files that commands write. One that a signal interrupts leaves no half of a file.
 */

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, sep } from 'node:path';
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
      writing(path, () => writeFileSync(file, text));
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
  writing(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.isDirectory()) throw new Error('it is a directory');
    accessSync(there === undefined ? dirname(path) + sep : path, constants.W_OK);
  });
}

/**
 * Writes a file as a whole; what was there is lost.
 * @throws LazyShadowError ERR_CANNOT_WRITE
 */
export function writeWhole(path: string, text: string): void {
  writing(path, () => writeFileSync(path, text));
}

function writing<T>(path: string, attempt: () => T): T {
  try {
    return attempt();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LazyShadowError(
      'ERR_CANNOT_WRITE',
      `${path} cannot be written: ${why}. Choose another place.`,
      { verb: 'write', cause },
    );
  }
}
