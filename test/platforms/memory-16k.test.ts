/** Apple silicon has pages of 16 KiB, and Windows places reservations at multiples of 64 KiB: both at once. */
import { describe } from 'vitest';
import { describeMemoryContract } from '../support/memory-contract.js';
import { simulate } from '../support/simulated-geometry.js';

const geometry = { pageSizeBytes: 16384, granularityBytes: 65536 };

simulate(geometry);

describe('memory with pages of 16 KiB, granularity 64 KiB', () => {
  describeMemoryContract(geometry);
});
