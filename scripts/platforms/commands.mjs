// Runs other programs, for the scripts that build and test on many platforms.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
/** Where everything that these scripts make is kept; git ignores it. */
export const work = join(root, 'build', 'platforms');

const MINUTES = 60_000;
/** The status of `timeout` after it killed what it ran. */
const KILLED = 137;
/** Lines of a failed program's output that are worth showing. */
const TAIL_LINES = 60;

/** Whether a program can be started. */
export function isProgram(name) {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/**
 * Runs a program to its end, with its output in the file `log`, since Wine's programs cannot write to a pipe, and
 * nothing to read. Gives the output.
 * @throws Error with the end of the output, if it fails
 */
export function execute([command, ...args], { log, cwd = root, env = {}, timeoutMs = 10 * MINUTES }) {
  mkdirSync(dirname(log), { recursive: true });
  const file = openSync(log, 'w');
  const [program, ...rest] = withTimeout([command, ...args], timeoutMs);
  const { status, signal, error } = spawnSync(program, rest, {
    cwd,
    stdio: ['ignore', file, file],
    env: { ...process.env, ...env },
  });
  closeSync(file);
  const text = readFileSync(log, 'utf8').trim();
  if (status !== 0) {
    const end = text.split('\n').slice(-TAIL_LINES).join('\n');
    const how =
      status === KILLED || signal === 'SIGKILL' ? 'killed, or out of time' : `exit ${status ?? signal}`;
    throw new Error(`${end}\n${command}: ${error?.message ?? how} (${log})`);
  }
  return text;
}

/** On Linux, a command whose children end with it when its time is up: an emulator's would go on for hours. */
function withTimeout(command, timeoutMs) {
  return process.platform === 'linux'
    ? ['timeout', '--signal=KILL', String(Math.ceil(timeoutMs / 1000)), ...command]
    : command;
}

/** Does something that needs a network, again if it fails: up to four times, with growing pauses. */
export function retried(action) {
  for (const pauseMs of [2000, 10_000, 30_000]) {
    try {
      return action();
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    }
  }
  return action();
}

/** npm's own program, run by this Node: on Windows `npm` is a script that cannot be started directly. */
export function npm(...args) {
  return process.platform === 'win32' ? ['cmd.exe', '/c', 'npm', ...args] : ['npm', ...args];
}
