/**
 * A shadow has one detector: another would take the numbers of sync objects that the first has left there for its own,
 * and follow lists that never end.
 */
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { createRaceRuntime } from '../../lib/race/race.js';
import { Race, type RaceOptions } from '../../lib/race/package-race.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { Op } from '../../lib/trace/format.js';
import { TraceReader } from '../../lib/trace/reader.js';
import { replayTrace } from '../../lib/trace/replay.js';
import { LIBRARY } from '../support/child.js';
import { expectRefusal } from '../support/refusals.js';
import { HEAP_SIZE } from '../support/sizes.js';
import { begun } from '../support/traces.js';

const HEAP = 0xc0_0000_0000;

it('is refused to a second one, whoever asks and however', async () => {
  const shadow = new Shadow(HEAP_SIZE);
  const race = new Race({ shadow });
  race.initialize(1);
  race.mapShadow(HEAP, 4096);
  race.release(1, HEAP);
  race.finalize();
  const refused = { code: 'ERR_INVALID_USE', verb: 'new Race' } as const;
  expectRefusal(() => new Race({ shadow }), refused);
  expectRefusal(() => createRaceRuntime({ shadow }), refused);
  expectRefusal(() => new Race({ shadow: Shadow.attach(shadow.id) }), refused);
  const reader = await TraceReader.open(begun().event(Op.Finalize).finish());
  await expect(replayTrace(reader, shadow)).rejects.toMatchObject({ ...refused, verb: 'replayTrace' });
  await reader.close();
  shadow.release();
});

it('is refused to another thread too', async () => {
  const shadow = new Shadow(HEAP_SIZE);
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const { Race, Shadow } = require(workerData.library);
     try { new Race({ shadow: Shadow.attach(workerData.id) }); } catch ({ code }) { parentPort.postMessage(code); }`,
    { eval: true, workerData: { library: LIBRARY, id: shadow.id } },
  );
  new Race({ shadow });
  expect(await once(worker, 'message')).toEqual(['ERR_INVALID_USE']);
  await worker.terminate();
  shadow.release();
});

it.each([undefined, null, 5, {}, { shadow: undefined }, { shadow: {} }, { shadow: 'node-x4' }])(
  'cannot be had by %j',
  (options) => {
    expectRefusal(() => new Race(options as RaceOptions), { code: 'ERR_INVALID_ARGUMENT', verb: 'new Race' });
  },
);
