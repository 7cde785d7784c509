/**
 * Scripts that need a process of their own: with limits, with simulated pages, or because they may end it.
 */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PATIENCE } from './patience.js';

/** The built library as CommonJS; lib/shadow/shadow.js, for `windowsOf`, lies beside it. */
export const LIBRARY = fileURLToPath(new URL('../../dist/cjs/index.js', import.meta.url));
const SHADOW = fileURLToPath(new URL('../../dist/cjs/shadow/shadow.js', import.meta.url));

/** What every script can use. */
const PRELUDE = `
  const { Reservation, Shadow, processMemory, systemMemory } = require(${JSON.stringify(LIBRARY)});
  const { windowsOf } = require(${JSON.stringify(SHADOW)});
  const { execFileSync } = require('node:child_process');
  const { readFileSync } = require('node:fs');
  const HEAP = 0xc000000000;
  const MiB = 2 ** 20;
  /** Code, verb and place of the error that a call throws, or null. */
  const refusal = (call) => {
    try {
      call();
      return null;
    } catch ({ code, verb, address, sizeBytes, osCode }) {
      return { code, verb, address, sizeBytes, osCode };
    }
  };
  /** Lets this process have so many more writable bytes than it has now: commits fail beyond, and nothing else. */
  const limitData = (more) => {
    const used = Number(/VmData:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
    execFileSync('prlimit', ['--pid', String(process.pid), '--data=' + (more === null ? '' : used + more) + ':']);
  };
  const unlimitData = () => execFileSync('prlimit', ['--pid', String(process.pid), '--data=unlimited:']);
  const report = (value) => console.log(JSON.stringify(value));
`;

/** Runs a script, after shell commands that set limits if there are any; what it reported. Fails unless it ends well. */
export function inChild(script: string, options: SpawnSyncOptions & { limits?: string } = {}): unknown {
  const { limits, ...rest } = options;
  const node = [process.execPath, '-e', PRELUDE + script];
  const [program = '', ...args] =
    limits === undefined ? node : ['bash', '-c', `${limits} && exec "$@"`, '-', ...node];
  const outcome = spawnSync(program, args, { ...PATIENCE, ...rest, encoding: 'utf8' });
  if (outcome.status !== 0 || outcome.signal !== null) {
    throw new Error(`the script ended with ${outcome.status ?? outcome.signal}: ${outcome.stderr}`);
  }
  return JSON.parse(outcome.stdout);
}
