/** The heap where reservations are placed at multiples of 64 KiB: what Windows has, on any machine. */
import { describe, expect, it } from 'vitest';
import { simulate } from '../support/simulated-geometry.js';

const geometry = { pageSizeBytes: 4096, granularityBytes: 65536 };

simulate(geometry);

describe('with a granularity of 64 KiB', async () => {
  const { systemMemory } = await import('../../lib/native/system.js');
  it('is what the machine has', () => {
    expect(systemMemory().allocationGranularityBytes).toBe(65536);
  });
  await import('../heap/form32.test.js');
  await import('../heap/heap.test.js');
  await import('../heap/oom.test.js');
});
