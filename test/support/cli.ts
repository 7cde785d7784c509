/**
 * Runs the built command line as a person would, in a process of its own.
 */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PATIENCE } from './patience.js';

export const MAIN = fileURLToPath(new URL('../../dist/esm/cli/main.js', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function lazyshadow(args: readonly string[], options: SpawnSyncOptions = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    ...PATIENCE,
    maxBuffer: 2 ** 28,
    ...options,
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

/** The same behind a shell, after commands that set limits: `ulimit -d 100000`. */
export function lazyshadowUnder(limits: string, args: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['-c', `${limits} && exec "$@"`, '-', process.execPath, MAIN, ...args],
    {
      ...PATIENCE,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    },
  );
  return { code: status, stdout, stderr };
}
