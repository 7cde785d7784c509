/**
 * How long a test waits for a program that it runs, and does nothing else meanwhile: no timer of vitest's fires then, so one
 * that hangs would hang all tests.
 */

/** For spawnSync. Ten times what the slowest of them take on a slow machine with other work: building Go programs. */
export const PATIENCE = { timeout: 300_000, killSignal: 'SIGKILL' } as const;
