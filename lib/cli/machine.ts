/**
 * What a measurement was made on, in a few words.
 */

import { arch, release, type } from 'node:os';

/** `Linux 6.1.0, x64, Node 20.20.2`. */
export function machine(): string {
  return `${type()} ${release()}, ${arch()}, Node ${process.versions.node}`;
}
