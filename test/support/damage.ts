/**
 * What the tests of damaged recordings share: a recording that is whole, to do damage to, and what reading it says.
 */
import { expect } from 'vitest';
import { Shadow } from '../../lib/shadow/shadow.js';
import { Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { replayTrace } from '../../lib/trace/replay.js';
import { HEAP_SIZE } from './sizes.js';
import { begun, errorOf } from './traces.js';

/** What every message about a damaged recording ends with. */
export const ADVICE = 'The recording is damaged or cut short: copy it again, or record it again.';

/** A line of symbols, with two frames. */
export const LINE = '4a613b\terrors.New\terrors.go\t59\t58\tstrconv.init\tatoi.go\t18\t105';

/** A small recording that is whole: three events and two lines of symbols. */
export function whole(): Buffer {
  return Buffer.from(
    begun()
      .event(Op.Read, { goroutine: 1, addr: 0xc000000000, pc: 0x4a613b, size: 1 })
      .event(Op.Finalize)
      .finish([LINE, '47f\t??\t-\t0\t0']),
  );
}

/** The message of the error, without the name before it and the advice after it. Replaying ends with the same one. */
export async function problemOf(source: Uint8Array): Promise<string> {
  const error = await errorOf(source);
  expect(error.code).toBe('ERR_BAD_TRACE');
  await expect(replay(source)).rejects.toMatchObject({ code: error.code, message: error.message });
  expect(error.message).toMatch(/^recording in memory: /);
  expect(error.message.endsWith(`. ${ADVICE}`)).toBe(true);
  return error.message.slice('recording in memory: '.length, -`. ${ADVICE}`.length);
}

async function replay(source: Uint8Array): Promise<void> {
  const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  try {
    const reader = await TraceReader.open(source);
    await replayTrace(reader, shadow).finally(() => reader.close());
  } finally {
    shadow.release();
  }
}
