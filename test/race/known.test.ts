/**
 * An access right after the same one of the same epoch leaves nothing, wherever the first has left its cells: where its
 * slot puts them, elsewhere in the granule, or in a list. And no list is left for what fits the granule.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ATOMIC_WRITE, PLAIN_WRITE, READ } from '../../lib/race/access.js';
import { CELL_WORDS, SPILLED } from '../../lib/race/cell.js';
import { Detector } from '../../lib/race/detector.js';
import { POSITION, STATE_SHIFT } from '../../lib/race/goroutine.js';
import { NONE } from '../../lib/race/record.js';
import { SEGMENT_BYTES } from '../../lib/shadow/segment.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;
const HIGH = Math.floor(HEAP / 2 ** 32);
const GOROUTINES = 3;
const LOCK = 0x1000;

const call = fc.record({
  slot: fc.nat(GOROUTINES - 1),
  kind: fc.constantFrom(READ, PLAIN_WRITE, ATOMIC_WRITE),
  low: fc.nat(23),
  size: fc.constantFrom(1, 1, 2, 8, 16, 24),
  before: fc.constantFrom('release', 'malloc', ...new Array<string>(8).fill('nothing')),
});

/** The places of the lists that granules point to, of those that `call` touches. */
function listsOf(shadow: Shadow): number[] {
  const memory = windowsOf(shadow);
  const cells = memory.segment(HEAP / SEGMENT_BYTES)?.shadow ?? new Int32Array(0);
  const last = [0, 1, 2].map((granule) => (granule + 1) * memory.wordsPerGranule - CELL_WORDS);
  return last.filter((at) => cells[at + 1] === SPILLED).map((at) => cells[at] ?? NONE);
}

it.each(['node-x2', 'node-x4'])('an access again changes nothing, in %s', (layout) => {
  const shadow = new Shadow({ ...HEAP_SIZE, layout, policy: 'touch' });
  const detector = new Detector(windowsOf(shadow));
  try {
    let spilled = 0;
    fc.assert(
      fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
        detector.end();
        detector.begin({ shadow: windowsOf(shadow), historyEntries: 1024, onSighting: () => undefined });
        detector.initialize(1);
        detector.mapShadow(HEAP, 0x10000);
        detector.malloc(0, HIGH, 0x10000, 0);
        for (let other = 2; other <= GOROUTINES; other++) detector.goStart(1, other, 1, 0);
        const expectLists = () => {
          for (const list of listsOf(shadow)) expect(detector.spill.count(list)).toBeGreaterThan(1);
        };
        for (const { slot, kind, low, size, before } of calls) {
          const position = () => detector.goroutines.state[(slot << STATE_SHIFT) + POSITION];
          const access = () =>
            size === 1 && kind !== ATOMIC_WRITE
              ? detector.accesses.one(slot, kind, low, HIGH, 1, 0)
              : detector.accesses.range(slot, kind, low, HIGH, size, 1, 0);
          if (before === 'release') detector.order.releaseStore(slot, LOCK, HIGH);
          if (before === 'malloc') detector.malloc(low, HIGH, size, 0);
          expectLists();
          access();
          expectLists();
          const made = position();
          access();
          expect(position()).toBe(made);
        }
        spilled += detector.spill.liveLists();
      }),
      { numRuns: 300 },
    );
    expect(spilled).toBeGreaterThan(0);
  } finally {
    shadow.release();
  }
});
