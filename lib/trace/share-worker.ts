/**
 * A worker thread of a replay in shares: one detector over the common shadow. shares.ts starts it.
 *
 * Sync objects are found by what metainfo says of an address, and those of one detector mean nothing to another. So the
 * first share keeps its own in the common shadow, and each other in a shadow of its own of which nothing else is touched.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { LazyShadowError } from '../native/errors.js';
import { Detector } from '../race/detector.js';
import { historyEntries } from '../race/gorace.js';
import { RaceLog } from '../race/race-log.js';
import { ShareSuppression } from '../race/suppression.js';
import { Shadow, windowsOf } from '../shadow/shadow.js';
import { located } from './errors.js';
import type { Progress } from './replay-events.js';
import { Share } from './share.js';
import type { FoundRace, FromShare, ShareOrder, ToShare } from './share-messages.js';

if (parentPort === null) throw new Error('share-worker.js is a worker thread');
const port = parentPort;
const order = workerData as ShareOrder;
const ring = new Int32Array(order.ring);

const shadow = Shadow.attach(order.shadowId);
const own = order.index === 0 ? shadow : new Shadow({ layout: shadow.layout, policy: 'touch' });

let found: FoundRace[] = [];
let firstEvent = 0;
const progress: Progress = { done: 0 };
const log = new RaceLog({
  suppression: new ShareSuppression(order.gorace),
  ranges: shadow.layout.application,
  goNumbers: true,
  onReport: (report) => found.push({ event: firstEvent + progress.done, report }),
});
const detector: Detector = new Detector({
  shadow: windowsOf(shadow),
  metainfo: windowsOf(own),
  historyEntries: historyEntries(order.gorace.historySize),
  onSighting: (sighting) => log.add(detector, sighting),
  markStacks: (mark) => log.markStacks(mark),
});
const share = new Share(order.index, order.count);

/** Lets go of the memory, after which this thread ends by itself. */
function end(last: FromShare, transfer: ArrayBuffer[] = []): void {
  own.release();
  shadow.release();
  port.postMessage(last, transfer);
  port.close();
}

port.on('message', (message: ToShare) => {
  if (message.kind === 'end') {
    const racyAddresses = Float64Array.from(log.bytes.addresses());
    const { startedCount: goroutines } = detector.goroutines;
    end({ kind: 'end', goroutines, racyAddresses }, [racyAddresses.buffer]);
    return;
  }
  const start = message.place * order.wordsPerPlace;
  firstEvent = message.firstEvent;
  found = [];
  try {
    share.replay(detector, ring.subarray(start, start + order.wordsPerPlace), message.count, progress);
  } catch (error) {
    const event = firstEvent + progress.done;
    const known = located(error, order.name, event);
    if (!(known instanceof LazyShadowError)) throw error;
    const { code, verb, address, sizeBytes, osCode } = known;
    end({
      kind: 'failed',
      event,
      code,
      message: known.message,
      details: { verb, address, sizeBytes, osCode },
    });
    return;
  }
  port.postMessage({ kind: 'batch', found } satisfies FromShare);
});
