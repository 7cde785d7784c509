// Runs other programs, for the scripts that build and test on many platforms.
//
// Invariant: what a program started is gone when its run is over, however it ended: Wine's servers and what an
// emulator's processes forked would otherwise stay for hours. Each run's processes carry its mark in their environment.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
/** Where everything that these scripts make is kept; git ignores it. */
export const work = join(root, 'build', 'platforms');

const MINUTES = 60_000;
/** Longer than the kernel takes to free gigabytes. */
const LONGEST_END_MS = 10_000;
/** Lines of a failed program's output that are worth showing. */
const TAIL_LINES = 60;

/** Whether there is a program of this name. That it could not be started for another reason is an error. */
export function isProgram(name) {
  const { error } = spawnSync(name, ['--version'], { stdio: 'ignore' });
  if (error !== undefined && error.code !== 'ENOENT') throw error;
  return error === undefined;
}

/**
 * Runs a program to its end, with its output in the file `log`, since Wine's programs cannot write to a pipe, and
 * nothing to read. Gives the output.
 * @throws Error with the end of the output, if it fails or its time is up
 */
export async function execute([program, ...args], { log, cwd = root, env = {}, timeoutMs = 10 * MINUTES }) {
  mkdirSync(dirname(log), { recursive: true });
  const file = openSync(log, 'w');
  const mark = nextMark();
  const child = spawn(program, args, {
    cwd,
    stdio: ['ignore', file, file],
    env: { ...process.env, ...env, [MARK]: mark },
  });
  closeSync(file);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
    endMarked(mark);
  }, timeoutMs);
  const how = await new Promise((resolve) => {
    child.once('error', ({ message }) => resolve(message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `exit ${signal ?? code}`));
  });
  clearTimeout(timer);
  await gone(endMarked(mark));
  const text = readFileSync(log, 'utf8').trim();
  if (how === undefined) return text;
  const end = text.split('\n').slice(-TAIL_LINES).join('\n');
  const why = isLate ? `not done after ${Math.round(timeoutMs / MINUTES)} minutes` : how;
  throw new Error(`${end}\n${program}: ${why} (${log})`);
}

const MARK = 'PLATFORMS_RUN';
let marks = 0;

function nextMark() {
  return `${process.pid}.${++marks}.`;
}

/**
 * Tells what carries a mark that begins so to end, and gives the numbers of these processes. Only Linux shows other
 * processes' environments; elsewhere they stay.
 */
function endMarked(mark) {
  if (process.platform !== 'linux') return [];
  const told = [];
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARK}=${mark}`)) continue;
      process.kill(Number(pid), 'SIGKILL');
      told.push(Number(pid));
    } catch {
      // It has just ended, or it is another user's, and then not ours.
    }
  }
  return told;
}

/**
 * Waits until processes that were told to end have. They take a moment, in which Wine's server still takes the next
 * program's connection, only to drop it.
 */
async function gone(processes) {
  const end = Date.now() + LONGEST_END_MS;
  while (processes.some(isAlive) && Date.now() < end) await sleep(10);
}

/** One that nobody has asked about yet (Z) has ended. */
function isAlive(pid) {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.once(signal, () => {
    endMarked(`${process.pid}.`);
    process.exit(code);
  });
}

/** Does something that needs a network, again if it fails: up to four times, with growing pauses. */
export async function retried(action) {
  for (const pauseMs of [2000, 10_000, 30_000]) {
    try {
      return await action();
    } catch {
      await sleep(pauseMs);
    }
  }
  return action();
}

/** An asynchronous function that does its work once for each first argument, unless it fails. */
export function once(make) {
  const made = new Map();
  return (key, ...rest) => {
    if (!made.has(key)) {
      const making = make(key, ...rest);
      made.set(key, making);
      making.catch(() => made.delete(key));
    }
    return made.get(key);
  };
}

/** A function that runs one action after the other, in the order in which they come. */
export function queue() {
  let last = Promise.resolve();
  return (action) => {
    const done = last.then(action);
    last = done.catch(() => {});
    return done;
  };
}

/** npm's own program, run by this Node: on Windows `npm` is a script that cannot be started directly. */
export function npm(...args) {
  return process.platform === 'win32' ? ['cmd.exe', '/c', 'npm', ...args] : ['npm', ...args];
}
