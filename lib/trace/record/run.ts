/**
 * Runs a program in this one's place: its input and output are ours, its signals too.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { LazyShadowError } from '../../native/errors.js';

/** How a program ended: one of the two is null. */
export interface Ending {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a shell makes of it: the exit code, or 128 and the signal's number. */
export function shellCode({ exitCode, signal }: Ending): number {
  return exitCode ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** What people and supervisors end a program with. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/**
 * Runs it to its end. Signals that we get meanwhile are the program's; those that a terminal sends, it has already.
 * @throws LazyShadowError ERR_CANNOT_RECORD: it cannot be started
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Ending> {
  const child = spawn(command, args, { stdio: 'inherit', env });
  const fromTerminal = process.stdin.isTTY === true;
  const forward = (signal: NodeJS.Signals) => {
    if (!fromTerminal || signal === 'SIGTERM') child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  try {
    return await new Promise<Ending>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (exitCode, signal) => resolve({ exitCode, signal }));
    });
  } catch (cause) {
    throw new LazyShadowError(
      'ERR_CANNOT_RECORD',
      `${command} cannot be started: ${cause instanceof Error ? cause.message : String(cause)}. Check the path.`,
      { verb: 'record', cause },
    );
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}
