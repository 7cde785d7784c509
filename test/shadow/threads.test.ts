/**
 * One shadow, several threads: workers that map overlapping ranges at random, and one that is ended in the middle.
 */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { geometry } from '../../lib/native/system.js';
import { POLICIES, type Policy } from '../../lib/shadow/policies.js';
import { Shadow, windowsOf } from '../../lib/shadow/shadow.js';
import { inChild, LIBRARY } from '../support/child.js';
import { chargedBytes, linux } from '../support/proc.js';
import { HEAP_SIZE, slow } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;
const AREA_BYTES = 64 * 2 ** 20;
/** Of mapShadow calls, for each worker. */
const COUNT = slow ? 300 : 1500;
/** Of all granules that are written while another thread unmaps them. */
const ROUNDS = slow ? 150 : 1000;

/** Maps `count` ranges that a generator seeded with `seed` chooses; both sides of a test can follow it. */
const MAPPER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { Shadow } = require(workerData.library);
  const shadow = Shadow.attach(workerData.id);
  let state = workerData.seed;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const ranges = [];
  parentPort.postMessage('attached');
  for (let i = 0; i < workerData.count; i++) {
    const size = 1 + random(200_000);
    const address = workerData.start + random(workerData.bytes - size);
    shadow.mapShadow(address, size);
    ranges.push([address, size]);
  }
  shadow.release();
  parentPort.postMessage(ranges);
`;

function mapper(shadow: Shadow, seed: number, count: number): Worker {
  return new Worker(MAPPER, {
    eval: true,
    workerData: { library: LIBRARY, id: shadow.id, seed, count, start: HEAP, bytes: AREA_BYTES },
  });
}

function rangesOf(worker: Worker): Promise<[number, number][]> {
  return new Promise((resolve, reject) => {
    worker.on('message', (message: 'attached' | [number, number][]) => {
      if (message !== 'attached') resolve(message);
    });
    worker.on('error', reject);
  });
}

/** The union of ranges after rounding outwards in units, in bytes: by marking, as plainly as can be. */
function unionBytes(ranges: readonly (readonly [number, number])[], unit: number): number {
  const origin = Math.floor(Math.min(...ranges.map(([start]) => start)) / unit);
  const end = Math.max(...ranges.map(([start, size]) => start + size));
  const marks = new Uint8Array(Math.ceil(end / unit) - origin);
  for (const [start, size] of ranges) {
    marks.fill(1, Math.floor(start / unit) - origin, Math.ceil((start + size) / unit) - origin);
  }
  return marks.reduce((sum, mark) => sum + mark, 0) * unit;
}

describe.each(POLICIES)('two workers under %s', (policy: Policy) => {
  it('map overlapping ranges at random, and nothing is lost', async () => {
    const shadow = new Shadow({ ...HEAP_SIZE, policy });
    const workers = [1, 2].map((seed) => mapper(shadow, seed, COUNT));
    const ranges = (await Promise.all(workers.map(rangesOf))).flat();
    expect(ranges.length).toBe(2 * COUNT);
    for (const [address, size] of ranges) expect(shadow.isMapped(address, size)).toBe(true);

    const granules = ranges.map(([address, size]) => [address, size] as const);
    expect(shadow.mappedBytes(HEAP, AREA_BYTES)).toBe(unionBytes(granules, 1));
    if (policy === 'lazy') {
      const { pageSizeBytes } = geometry();
      const onto = (bytesPerGranule: number) =>
        granules.map(([address, size]) => {
          const first = Math.floor(address / 8);
          const last = Math.floor((address + size - 1) / 8);
          return [first * bytesPerGranule, (last - first + 1) * bytesPerGranule] as const;
        });
      const { committedBytes, osCommittedBytes, mappedBytes } = shadow.stats();
      expect(mappedBytes).toBe(unionBytes(granules, 1));
      expect(committedBytes).toBe(unionBytes(onto(32), pageSizeBytes) + unionBytes(onto(4), pageSizeBytes));
      expect(osCommittedBytes).toBe(committedBytes);
      if (linux) {
        const charged = shadow.spans.map(({ address, sizeBytes }) => chargedBytes(address, sizeBytes));
        expect(charged.reduce((sum, bytes) => sum + bytes)).toBe(committedBytes);
      }
    }
    shadow.release();
  });

  it('what one writes the other’s mapping does not clear', async () => {
    const shadow = new Shadow({ ...HEAP_SIZE, policy });
    shadow.mapShadow(HEAP, AREA_BYTES);
    const memory = windowsOf(shadow);
    const segment = memory.segment(HEAP / 2 ** 28);
    if (segment === undefined) throw new Error('no segment');
    memory.touchShadow(segment, 0, 2 ** 20);
    for (let word = 0; word < 2 ** 18; word += 64) segment.shadow[word] = word + 1;
    await rangesOf(mapper(shadow, 3, 500));
    for (let word = 0; word < 2 ** 18; word += 64) expect(segment.shadow[word]).toBe(word + 1);
    shadow.release();
  });
});

describe('a worker that is ended in the middle', () => {
  it('leaves the shadow whole for the others', async () => {
    for (let round = 0; round < 5; round++) {
      const shadow = new Shadow({ ...HEAP_SIZE, policy: 'lazy' });
      const worker = mapper(shadow, round + 10, 1_000_000);
      const mapped = expect.poll(() => shadow.mappedBytes(HEAP, AREA_BYTES), {
        interval: 1,
        timeout: 30_000,
      });
      await mapped.toBeGreaterThan(0);
      await new Promise((resolve) => setTimeout(resolve, 10 * round));
      await worker.terminate();
      const before = shadow.stats();
      expect(before.mappedBytes).toBeGreaterThan(0);
      expect(before.osCommittedBytes).toBe(before.committedBytes);
      shadow.mapShadow(HEAP, AREA_BYTES);
      const after = shadow.stats();
      expect(after.mappedBytes).toBe(AREA_BYTES);
      expect(after.committedBytes).toBe(AREA_BYTES * 4.5);
      expect(after.osCommittedBytes).toBe(after.committedBytes);
      shadow.release();
    }
  });
});

describe('handles', () => {
  it('keep the memory until the last is released', () => {
    const shadow = new Shadow({ ...HEAP_SIZE, policy: 'lazy' });
    const other = Shadow.attach(shadow.id);
    expect([other.layout, other.policy, other.spans]).toEqual([shadow.layout, shadow.policy, shadow.spans]);
    shadow.mapShadow(HEAP, 65536);
    shadow.release();
    expect(other.isMapped(HEAP, 65536)).toBe(true);
    other.release();
    expect(() => Shadow.attach(other.id)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
  });
});

type Stats = Record<'committedBytes' | 'osCommittedBytes', number>;

/** Writes cells as fast as it can; the one that told it to unmaps and maps below it. */
const DETECTOR = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { Race, Shadow } = require(workerData.library);
  const race = new Race({ shadow: Shadow.attach(workerData.id) });
  race.initialize(1);
  race.mapShadow(workerData.start, workerData.bytes);
  parentPort.postMessage('writing');
  for (let round = 0; round < workerData.rounds; round++) {
    race.release(1, workerData.start);
    for (let at = 0; at < workerData.bytes; at += 8) race.write(1, workerData.start + at, 0x400000);
  }
  parentPort.postMessage('done');
`;

describe.each(['lazy', 'touch'] as const)('a thread that unmaps under %s', (policy) => {
  it('does not take pages away under another that writes to them', () => {
    // In a process of its own: it used to end it.
    const result = inChild(`
      const { Worker } = require('node:worker_threads');
      const shadow = new Shadow({ policy: '${policy}', heapBytes: 2 ** 28 });
      const bytes = 65536;
      const worker = new Worker(${JSON.stringify(DETECTOR)}, {
        eval: true,
        workerData: { library: ${JSON.stringify(LIBRARY)}, id: shadow.id, start: HEAP, bytes, rounds: ${ROUNDS} },
      });
      let unmapped = 0;
      let unmapping;
      worker.on('message', (message) => {
        if (message === 'done') {
          const before = shadow.stats();
          worker.terminate().then(() => {
            // Nobody looks any more: all of it can go.
            shadow.mapShadow(HEAP, bytes);
            shadow.unmapShadow(HEAP, bytes);
            report({ unmapped, before, after: shadow.stats() });
            clearInterval(unmapping);
          });
          return;
        }
        unmapping = setInterval(() => {
          for (let i = 0; i < 20; i++, unmapped++) {
            shadow.unmapShadow(HEAP, bytes);
            shadow.mapShadow(HEAP, bytes);
          }
        });
      });
    `) as { unmapped: number; before: Stats; after: Stats };
    expect(result.unmapped).toBeGreaterThan(100);
    expect(result.before.osCommittedBytes).toBe(result.before.committedBytes);
    expect(result.after).toMatchObject({ committedBytes: 0, osCommittedBytes: 0 });
  });
});
