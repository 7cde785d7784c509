import { expect, it } from 'vitest';
import { Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import type { TraceInput } from '../../lib/trace/source.js';
import { type ManifestRow, programStream, programs, raceTestRows, raceTests } from '../support/recordings.js';

/** Reads a recording to its end, checks it against its row, and gives its MapShadow calls. */
async function checkRecording(row: ManifestRow, source: TraceInput): Promise<string[][]> {
  const reader = await TraceReader.open(source);
  const starts = [0];
  const mapped: string[][] = [];
  let events = 0;
  for await (const { firstEvent, count, words } of reader.batches()) {
    expect(firstEvent).toBe(events);
    expect(words.length).toBe(8 * count);
    events += count;
    for (let at = 0; at < words.length; at += 8) {
      const op = (words[at] ?? 0) & 0xff;
      if (op === Op.GoStart) starts.push(words[at + 4] ?? 0);
      if (op === Op.MapShadow)
        mapped.push(
          [2, 4].map((low) => hex((words[at + low + 1] ?? 0) * 2 ** 32 + ((words[at + low] ?? 0) >>> 0))),
        );
    }
  }
  expect(events).toBe(row.events);
  expect(starts.length).toBe(row.goroutines);
  const symbols = await reader.symbols();
  expect(symbols.pcCount).toBe(reader.header.pcCount);
  expect(symbols.pcCount).toBeGreaterThan(0);
  await reader.close();
  return mapped;
}

const hex = (value: number) => `0x${value.toString(16)}`;

it.each(programs())('the program $name reads whole: $events events', async (row) => {
  expect(await checkRecording(row, programStream(row))).toEqual(row.mapShadow);
});

it('the 259 race tests read whole', async () => {
  const names: string[] = [];
  for await (const { row, bytes } of raceTests()) {
    await checkRecording(row, bytes);
    names.push(row.name);
  }
  expect(names).toEqual(raceTestRows().map((row) => row.name));
  expect(new Set(names).size).toBe(259);
});
