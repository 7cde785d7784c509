/**
 * A replay of a recording in memory, with a shadow of its own.
 */
import { Shadow } from '../../lib/shadow/shadow.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { type ReplayOptions, type ReplayResult, replayTrace } from '../../lib/trace/replay.js';
import { HEAP_SIZE } from './sizes.js';

export async function replay(bytes: Uint8Array, options: ReplayOptions = {}): Promise<ReplayResult> {
  const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  const reader = await TraceReader.open(bytes);
  try {
    return await replayTrace(reader, shadow, options);
  } finally {
    await reader.close();
    shadow.release();
  }
}
