// Where the sanitizers find what they need to run in Node, and where their reports go.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../platforms/commands.mjs';
import { ADDRESS_SANITIZER } from '../platforms/contract.mjs';
import { program, ToolMissing } from '../platforms/tools.mjs';

/** Where everything that these scripts make is kept; git ignores it. */
export const work = join(root, 'build', 'sanitizers');

/** A library of the compiler's. */
async function library(name) {
  return execFileSync(await program('g++'), [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
}

/**
 * What comes last when an addon is compiled for Node. In a shared library UBSan's own runtime would write its reports
 * wherever the process writes its errors; so it traps instead, and AddressSanitizer reports the trap.
 */
export const FOR_NODE = ['-O1', '-g', ...ADDRESS_SANITIZER, '-fsanitize-undefined-trap-on-error'];

/** The environment in which Node loads such an addon: each report ends the process, and is a file in the folder. */
export async function nodeEnvironment(reports) {
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const options = {
    log_path: join(reports, 'report'),
    // Go's heap, at 0xc0 0000 0000, lies in the gap in the middle of AddressSanitizer's shadow. So that gap is left
    // free, and gets shadow of its own.
    protect_shadow_gap: 0,
    // V8 leaves at its end what the process's end frees.
    detect_leaks: 0,
    detect_stack_use_after_return: 1,
    // Those of traps and abort(), whoever else wants these signals: Node takes them back when it starts.
    handle_sigill: 2,
    handle_abort: 2,
  };
  return {
    // Before Node's own libraries: both take the place of functions that Node calls.
    LD_PRELOAD: [await library('libasan.so'), await library('libstdc++.so')].join(' '),
    ASAN_OPTIONS: Object.entries(options)
      .map((option) => option.join('='))
      .join(':'),
  };
}

/** The reports in a folder, as text. */
export function reportsIn(folder) {
  return readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
}

const NEVER = '2';
const PATIENCE_MS = 120_000;

/**
 * Waits until memory may be promised that is not there, without which no sanitizer starts: some tests forbid it to the
 * whole machine for some seconds.
 * @throws ToolMissing if it stays so
 */
export async function untilOvercommit() {
  const file = '/proc/sys/vm/overcommit_memory';
  for (let waited = 0; readFileSync(file, 'utf8').trim() === NEVER; waited += 1000) {
    if (waited >= PATIENCE_MS) throw new ToolMissing('vm.overcommit_memory is 2, and sanitizers need 0 or 1');
    await sleep(1000);
  }
}
