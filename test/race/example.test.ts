import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { unless } from '../support/skips.js';

const example = fileURLToPath(new URL('../../scripts/examples/find-a-race.mjs', import.meta.url));
const built = fileURLToPath(new URL('../../dist/esm/index.js', import.meta.url));

// It uses the package as its users do: built (npm test builds it first).
describe('scripts/examples/find-a-race.mjs', unless(existsSync(built), 'the library is not built'), () => {
  it('finds the race', () => {
    const output = execFileSync(process.execPath, [example], { encoding: 'utf8' });
    expect(output).toContain('Read at 0x00c000000000 by goroutine 3:\n  read the counter()\n');
    expect(output).toContain('Previous write at 0x00c000000000 by goroutine 2:\n  write the counter()\n');
    expect(output.endsWith('Found 1 data race(s)\n')).toBe(true);
  });
});
