/**
 * How many programs run at once where no more memory is promised than there is: scripts/many-programs.mjs, whose table
 * is in docs/faults.md.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { linux } from '../support/proc.js';
import { skipNow, unless } from '../support/skips.js';

const script = fileURLToPath(new URL('../../scripts/many-programs.mjs', import.meta.url));
const MiB = 2 ** 20;

interface Row {
  readonly policy: string;
  readonly ran: number;
  readonly commitBytes: number;
  readonly residentBytes: number;
  readonly mappedBytes: number;
  readonly refusal: string | null;
}

interface Table {
  /** Whether the memory was that of all programs together, or each had its part. */
  readonly together: boolean;
  readonly rows: readonly Row[];
}

function tableOf(...args: string[]): Table {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--json', ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`many-programs ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Table;
}

const REFUSED = { ran: 0, refusal: 'ERR_OUT_OF_MEMORY' };

describe('programs that each have 1.6 GiB', unless(linux, 'needs ulimit -d'), () => {
  // Shadow is four and a half times what it is of: 384 MiB of heap or 832 MiB in the recording do not fit with theirs.
  // Mapped by 64 MiB at a time, it ends when another 288 or 352 MiB do not fit into what four or five times as much
  // leave of the limit: more than 100 MiB, so that it is not Node that runs out first. A heap that grew by its least, 1 MiB
  // and then a block of 128 KiB, would leave Node next to nothing before it is refused.
  it.each(['heap', 'replay'])('run with a %s under touch, and under no other policy', (program) => {
    const form = ['--apart', '--most=2', '--limit=3328', '--heap=384', '--block=65536'];
    const [eager, unreserved, lazy, touch] = tableOf(...form, `--program=${program}`).rows;
    for (const row of [eager, unreserved, lazy]) expect(row).toMatchObject(REFUSED);
    expect(touch).toMatchObject({ ran: 2, refusal: null });
    expect(touch?.commitBytes).toBeLessThan(1536 * MiB);
  });
});

describe('without overcommit', () => {
  it('all twelve replays run at once under touch, each with the shadow of 832 MiB', (context) => {
    const { together, rows } = tableOf('--program=replay', '--policy=eager,lazy,touch');
    if (!together) skipNow(context, 'vm.overcommit_memory may not be set here');
    const [eager, lazy, touch] = rows;
    expect(eager).toMatchObject(REFUSED);
    // 12 GiB hold three times the 3.7 GiB that one commits.
    expect(lazy?.ran).toBeLessThanOrEqual(3);
    expect(lazy?.refusal).not.toBe(null);
    expect(touch).toMatchObject({ ran: 12, refusal: null });
    expect(touch?.mappedBytes).toBeGreaterThan(832 * MiB);
  });
});
