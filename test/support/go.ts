/**
 * Go for tests, if it is there: the programs of test/data/go, and what Go's race detector prints.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const hasGo =
  process.platform === 'linux' && process.arch === 'x64' && spawnSync('go', ['version']).status === 0;

/** The source of a program. */
export function goProgram(name: string): string {
  return fileURLToPath(new URL(`../data/go/${name}/main.go`, import.meta.url));
}

/** An environment whose cache, where overlays are made, is `directory`; but Go's own stays, which takes long to fill. */
export function goEnvironment(directory: string): NodeJS.ProcessEnv {
  const cache = execFileSync('go', ['env', 'GOCACHE'], { encoding: 'utf8' }).trim();
  // Go waits a second at the end of a program that raced, for other races.
  return { ...process.env, XDG_CACHE_HOME: directory, GOCACHE: cache, GORACE: 'atexit_sleep_ms=10' };
}

/** The reports in a program's standard error, each with its rules. */
export function reportsIn(stderr: string): string[] {
  return stderr.match(/^={18}\nWARNING: DATA RACE\n[\s\S]*?^={18}\n/gm) ?? [];
}
