/**
 * What a caller of `measure` can ask for beyond the numbers: a map, samples as they are taken, all policies at once, and
 * time to watch.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { type MeasureResult, measure } from '../../lib/measure/measure.js';
import type { AddressMap } from '../../lib/measure/map.js';
import type { Sample } from '../../lib/measure/sample.js';
import type { ShadowBlock } from '../../lib/native/addon.js';
import { POLICIES, type Policy } from '../../lib/shadow/policies.js';
import { windows } from '../support/proc.js';

const MiB = 2 ** 20;
/** Windows refuses `eager`, whose shadow is that of all addresses a Go program has. */
const MEASURED = POLICIES.filter((policy) => !windows || policy !== 'eager');
const total = (blocks: readonly ShadowBlock[], field: 'committedBytes' | 'residentBytes') =>
  blocks.reduce((sum, block) => sum + block[field], 0);

describe('the map', () => {
  let result: MeasureResult;
  beforeAll(async () => {
    result = await measure({ workload: 'growth', heapBytes: 64 * MiB, map: true, policies: MEASURED });
  });
  const mapOf = (policy: Policy): AddressMap => {
    const map = result.policies.find((row) => row.policy === policy)?.map;
    if (map === undefined) throw new Error(`no map of ${policy}`);
    return map;
  };

  it('has the same blocks under every policy, of a size that fits a screen', () => {
    const shape = ({ blockBytes, areas }: AddressMap) => ({
      blockBytes,
      areas: areas.map(({ name, application, blocks }) => ({ name, application, count: blocks.length })),
    });
    expect(shape(mapOf('lazy'))).toEqual({
      blockBytes: MiB,
      areas: [{ name: 'heap', application: { address: 0xc000000000, sizeBytes: 64 * MiB }, count: 256 }],
    });
    for (const policy of MEASURED) expect(shape(mapOf(policy))).toEqual(shape(mapOf('lazy')));
  });

  it('adds up to the shadow’s part of what was committed and resident', () => {
    for (const { policy, final } of result.policies) {
      const blocks = mapOf(policy).areas.flatMap((area) => area.blocks);
      // Nine bytes of shadow and metainfo for each eight of shadow; this workload writes no metainfo.
      if (policy === 'lazy' || policy === 'unreserved')
        expect((total(blocks, 'committedBytes') * 9) / 8).toBe(final.committedBytes);
      if (policy === 'touch') expect(total(blocks, 'committedBytes')).toBe(final.committedBytes);
      expect(total(blocks, 'residentBytes')).toBe(final.residentBytes);
    }
  });

  it('is not taken unless it is asked for', async () => {
    const { policies } = await measure({ workload: 'growth', heapBytes: MiB, policies: ['touch'] });
    expect(policies.map((row) => 'map' in row)).toEqual([false]);
  });

  it('shows holes between arenas as blocks that hold nothing', async () => {
    const { policies } = await measure({
      workload: 'arenas',
      heapBytes: 32 * MiB,
      policies: ['lazy'],
      map: true,
    });
    const [area, ...others] = policies[0]?.map?.areas ?? [];
    expect(others).toEqual([]);
    // 1 MiB in four is mapped, and a block is the shadow of 256 KiB or so.
    const empty = area?.blocks.filter(({ committedBytes }) => committedBytes === 0).length ?? 0;
    expect(empty / (area?.blocks.length ?? 0)).toBeCloseTo(0.75, 1);
  });

  it('has an area for the data segment and one for the heap of a recording', async () => {
    const { policies } = await measure({ policies: ['touch'], map: true });
    const { areas, omittedAreas, blockBytes } = policies[0]?.map ?? {
      areas: [],
      omittedAreas: -1,
      blockBytes: 0,
    };
    expect(areas.map(({ name }) => name)).toEqual(['data', 'heap']);
    expect(omittedAreas).toBe(0);
    for (const { blocks } of areas)
      blocks.forEach(({ address }, i) => expect(address).toBe((blocks[0]?.address ?? 0) + i * blockBytes));
  });
});

describe('samples', () => {
  it('are told as they are taken, and are those of the result', async () => {
    const told = new Map<Policy, Sample[]>();
    const { policies } = await measure({
      workload: 'sparse',
      heapBytes: 64 * MiB,
      policies: MEASURED,
      onSample: (policy, sample) => told.set(policy, [...(told.get(policy) ?? []), sample]),
    });
    expect([...told.keys()]).toEqual(MEASURED);
    for (const { policy, samples } of policies) expect(told.get(policy)).toEqual(samples);
  });
});

describe('the process that measures', () => {
  it('ends without process.exit, which on Node 24 may never return', async () => {
    const before = process.env['NODE_OPTIONS'];
    process.env['NODE_OPTIONS'] = `${before ?? ''} --import=data:text/javascript,process.exit=()=>{}`;
    try {
      const { policies } = await measure({ workload: 'growth', heapBytes: MiB, policies: ['lazy'] });
      expect(policies.map(({ ok }) => ok)).toEqual([true]);
    } finally {
      if (before === undefined) delete process.env['NODE_OPTIONS'];
      else process.env['NODE_OPTIONS'] = before;
    }
  });
});

describe('all at once', () => {
  it('interleaves the policies, to the same result, and takes the time that it is given', async () => {
    const order: Policy[] = [];
    const options = { workload: 'growth', heapBytes: 32 * MiB, policies: MEASURED };
    const { policies } = await measure({
      ...options,
      atOnce: true,
      durationMs: 1500,
      onSample: (policy) => order.push(policy),
    });
    const apart = await measure(options);
    expect(policies.map(({ policy, final }) => [policy, final.committedBytes])).toEqual(
      apart.policies.map(({ policy, final }) => [policy, final.committedBytes]),
    );
    // One after the other, each policy's samples would all be before the next one's.
    const turns = order.filter((policy, i) => policy !== order[i - 1]);
    expect(turns.length).toBeGreaterThan(MEASURED.length);
    for (const { final } of policies) expect(final.atMs).toBeGreaterThan(1400);
  });
});
