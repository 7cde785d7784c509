/**
 * The program that makes random calls, in a process of its own so that a crash is seen:
 *
 *     node api-calls.mjs SEED CALLS
 *
 * Prints a RunResult as JSON. The same seed makes the same calls.
 */
import { run } from './run.js';

const [seed, count] = process.argv.slice(2).map(Number);
const result = await run(seed ?? 1, 0, count ?? 10_000);
console.log(JSON.stringify(result));
