/**
 * A worker thread of a replay in parts: one part, with a shadow and a detector of its own. parts.ts starts it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { buffersOf, type Unsettled } from '../race/unsettled.js';
import { claimWindows, Shadow } from '../shadow/shadow.js';
import { Part } from './part.js';
import type { FromPart, PartOrder, ToPart } from './part-messages.js';
import { borrow, uncheckedBatches } from './reader.js';

if (parentPort === null) throw new Error('part-worker.js is a worker thread');
const port = parentPort;
const { recording, layout, policy, from, end } = workerData as PartOrder;

const shadow = new Shadow({ layout, policy });
const part = new Part(claimWindows('replayTrace', shadow), shadow.layout, from === 0);

/** Says the last. */
function stop(): void {
  say({ kind: 'stopped' });
  port.close();
}

function say(message: FromPart, unsettled?: Unsettled): void {
  port.postMessage(message, unsettled === undefined ? [] : buffersOf(unsettled));
}

async function replay(): Promise<void> {
  const reader = await borrow(recording);
  try {
    for await (const { firstEvent, words, count, validator } of uncheckedBatches(reader, { from, end })) {
      if (!part.replay(validator, words, count, firstEvent - from)) {
        stop();
        return;
      }
      say({ kind: 'progress', events: firstEvent + count - from });
    }
  } finally {
    await reader.close();
  }
  const memory = shadow.stats();
  const unsettled = part.unsettled();
  say({ kind: 'done', goroutines: part.startedCount, memory, unsettled }, unsettled);
}

port.on('message', (later: ToPart) => {
  let unsettled: Unsettled | undefined;
  try {
    unsettled = part.settle(later);
  } catch {
    // No memory, or too much to settle: it is left to one detector.
  }
  if (unsettled === undefined) stop();
  else say({ kind: 'settled', unsettled }, unsettled);
});

replay().catch(stop);
