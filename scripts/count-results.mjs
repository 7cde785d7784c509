// Says what failed in the parts of a run, and as the last line how much passed and failed in all of them.
//
//     node scripts/count-results.mjs NAME:STATUS[:FILE] ...
//
// STATUS: what the part's command exited with. FILE: its results, in the form of vitest's JSON reporter; a part without
// is one test, which passed if its status is 0. Exits 1 if anything failed, or nothing passed.
import { existsSync, readFileSync } from 'node:fs';
import { failuresOf } from './vitest-results.mjs';

/** How many of a part's tests passed, and what failed. */
function resultOf(part) {
  const [, name, status, file] = /^([^:]*):(\d+)(?::(.*))?$/.exec(part);
  const ended = `${name}: ended with status ${status}`;
  if (file === undefined)
    return status === '0' ? { passed: 1, failures: [] } : { passed: 0, failures: [ended] };
  if (!existsSync(file)) return { passed: 0, failures: [`${ended}, and left no results`] };
  const results = JSON.parse(readFileSync(file, 'utf8'));
  const failures = failuresOf(results).map((failure) => `${name}: ${failure}`);
  // It can end otherwise than by its tests, by a worker that died for example.
  if (failures.length === 0 && status !== '0') failures.push(ended);
  return { passed: results.numPassedTests, failures };
}

const parts = process.argv.slice(2).map(resultOf);
const failures = parts.flatMap((part) => part.failures);
const passed = parts.reduce((sum, part) => sum + part.passed, 0);
// Here, because of a long run's output often only the end is kept.
for (const failure of failures) console.log(`failed: ${failure}\n`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 || passed === 0 ? 1 : 0;
