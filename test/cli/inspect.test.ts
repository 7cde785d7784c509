import { Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatSummary, registerInspect } from '../../lib/cli/commands/inspect.js';
import { inspectTrace } from '../../lib/trace/inspect.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { shippedRecording } from '../support/recordings.js';
import { begun } from '../support/traces.js';

afterEach(() => {
  vi.restoreAllMocks();
});

/** What `lazyshadow inspect …` prints. */
async function inspect(...args: string[]): Promise<string> {
  let output = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += text;
    return true;
  });
  const program = new Command().exitOverride();
  registerInspect(program);
  await program.parseAsync(['inspect', ...args], { from: 'user' });
  return output;
}

describe('lazyshadow inspect', () => {
  it('prints tables a person can read', async () => {
    const output = await inspect(shippedRecording);
    expect(output).toContain('38,308, with 975 program counters');
    expect(output).toContain('9 started, 0 ended, at most 9 at once');
    expect(output).toContain('848 MiB in 14 ranges');
    expect(output).toMatch(/│ Write {2,}│ 18,824 │ 49\.1 % │/);
    expect(output).toMatch(/│ 0x00c000000000 │ 0x00c004000000 │ {3}64 MiB │/);
    expect(output).toMatch(/│ main\.main {2,}│ 30,737 │ heapgrow\/main\.go/);
    expect(output.endsWith('┘\n')).toBe(true);
    // Nothing that a terminal would take for a colour.
    expect(output.includes('\u001b')).toBe(false);
  });

  it('prints the summary as one JSON object with --json', async () => {
    const output = await inspect('--json', shippedRecording);
    const reader = await TraceReader.open(shippedRecording);
    expect(JSON.parse(output)).toEqual(await inspectTrace(reader));
    await reader.close();
    expect(output.indexOf('\n')).toBe(output.length - 1);
  });

  it('fails with the error of the reader', async () => {
    await expect(inspect('no-such-file.trc')).rejects.toMatchObject({ code: 'ERR_BAD_TRACE' });
  });

  it('leaves out the tables that would be empty, and the ranges beyond sixteen', async () => {
    const bare = await inspectTrace(await TraceReader.open(begun().finish()));
    expect(formatSummary(bare)).not.toMatch(/mapped from|function/);
    const writer = begun();
    for (let i = 0; i < 20; i++) writer.event(3, { addr: i * 65536, arg: 65536 });
    const mapped = await inspectTrace(await TraceReader.open(writer.finish()));
    expect(formatSummary(mapped)).toContain('… and 4 more');
    expect(formatSummary({ ...bare, touched: { sizeBytes: 8, pages: 1, complete: false } })).toContain(
      'at least 8 B',
    );
  });
});
