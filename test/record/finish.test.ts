/**
 * What is left of a recording whose program was killed, at every point where that can happen, put together again.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LazyShadowError } from '../../lib/native/errors.js';
import { EVENT_BYTES, HEADER_BYTES, Op } from '../../lib/trace/format.js';
import { finishRecording, packRecording, partOf } from '../../lib/trace/record/finish.js';
import { begun, errorOf, readAll } from '../support/traces.js';

const WINDOW_EVENTS = 8192;
const LINES = ['401000\tmain.main\tmain.go\t3\t16', '401010\tmain.f\tmain.go\t9\t32'];

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lazyshadow-finish-'));
  path = join(directory, 'x.trc');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A recording of `count` events as it would be when finished. */
function whole(count: number): Uint8Array {
  const writer = begun();
  for (let i = 1; i < count; i++)
    writer.event(Op.Write, { goroutine: 1, addr: 0xc000000000 + i, pc: 0x401000, size: 1 });
  return writer.finish(LINES);
}

/** What native/recorder leaves: `flushed` events in the recording, `inWindow` after them in the part. */
function leave(options: {
  flushed: number;
  inWindow: number;
  clearing?: boolean;
  text?: string;
  tail?: string;
}) {
  const { flushed, inWindow, clearing = false, text = LINES.map((line) => `${line}\n`).join('') } = options;
  const events = whole(flushed + inWindow).subarray(HEADER_BYTES);
  const begin = HEADER_BYTES + flushed * EVENT_BYTES;
  const recording = Buffer.alloc(begin);
  recording.write('RACEPART');
  recording.set(events.subarray(0, flushed * EVENT_BYTES), HEADER_BYTES);
  writeFileSync(path, Buffer.concat([recording, Buffer.from(options.tail ?? '')]));
  const part = Buffer.alloc(4096 + WINDOW_EVENTS * EVENT_BYTES);
  part.write('RACEPART');
  part.writeBigUInt64LE(BigInt(begin + (clearing ? 1 : 0)), 8);
  part.set(events.subarray(flushed * EVENT_BYTES, (flushed + inWindow) * EVENT_BYTES), 4096);
  writeFileSync(partOf(path), Buffer.concat([part, Buffer.from(text)]));
}

/** Whether the recording is that of `count` events: a comparison of megabytes, which toEqual is slow at. */
const isWhole = (count: number) => Buffer.compare(readFileSync(path), whole(count)) === 0;

describe('finishRecording', () => {
  it.each([
    [0, 1],
    [0, WINDOW_EVENTS],
    [WINDOW_EVENTS, 0],
    [2 * WINDOW_EVENTS, 17],
  ])('puts %i flushed events and %i in the window together', async (flushed, inWindow) => {
    leave({ flushed, inWindow });
    await expect(errorOf(path)).resolves.toMatchObject({
      message: expect.stringContaining(`lazyshadow record --finish ${path}`) as string,
    });
    await expect(finishRecording(path)).resolves.toBe(flushed + inWindow);
    expect(isWhole(flushed + inWindow)).toBe(true);
    // Once is enough, and twice is harmless.
    await expect(finishRecording(path)).resolves.toBe(flushed + inWindow);
    const { symbols } = await readAll(path);
    expect(symbols.frames(0x401010)[0]?.function).toBe('main.f');
  });

  it('takes no event twice when the kill came between a flush and its clearing', async () => {
    leave({ flushed: WINDOW_EVENTS, inWindow: 5, clearing: true });
    await expect(finishRecording(path)).resolves.toBe(WINDOW_EVENTS);
    expect(isWhole(WINDOW_EVENTS)).toBe(true);
  });

  it('starts over what was cut short while it was being finished', async () => {
    leave({ flushed: WINDOW_EVENTS, inWindow: 0, tail: 'half of the symbol te' });
    await finishRecording(path);
    expect(isWhole(WINDOW_EVENTS)).toBe(true);
  });

  it('leaves out a line that was not written to its end', async () => {
    leave({ flushed: 0, inWindow: 3, text: `${LINES[0]}\n401010\tmain.` });
    await finishRecording(path);
    const { symbols } = await readAll(path);
    expect(symbols.pcCount).toBe(1);
  });

  it('keeps what a full disk left of the events', async () => {
    leave({ flushed: WINDOW_EVENTS, inWindow: 5 });
    writeFileSync(path, readFileSync(path).subarray(0, HEADER_BYTES + 100 * EVENT_BYTES + 3));
    await expect(finishRecording(path)).resolves.toBe(100);
    expect(isWhole(100)).toBe(true);
  });

  it('refuses what is no recording, and one whose part is missing or damaged', async () => {
    const refusal = async () => {
      const error: unknown = await finishRecording(path).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(LazyShadowError);
      return (error as LazyShadowError).message;
    };
    expect(await refusal()).toMatch(/x\.trc cannot be finished: ENOENT/);
    writeFileSync(path, 'something else');
    expect(await refusal()).toMatch(/begins with "somethin"/);
    leave({ flushed: 0, inWindow: 3 });
    writeFileSync(partOf(path), 'short');
    expect(await refusal()).toMatch(/x\.trc\.part is not what the recorder writes/);
    rmSync(partOf(path));
    expect(await refusal()).toMatch(/x\.trc\.part/);
  });
});

describe('packRecording', () => {
  it('packs, and keeps the recording if it cannot', async () => {
    writeFileSync(path, whole(10));
    const nowhere = join(directory, 'missing', 'x.trc.gz');
    await expect(packRecording(path, nowhere)).rejects.toThrow(/The recording is in .*x\.trc/);
    expect(isWhole(10)).toBe(true);
    await packRecording(path, `${path}.gz`);
    expect(new Uint8Array(gunzipSync(readFileSync(`${path}.gz`)))).toEqual(whole(10));
    expect(() => readFileSync(path)).toThrow(/ENOENT/);
  });
});
