/** Pages of 4 KiB in a granularity of 64 KiB: what Windows has, on any machine. */
import { describe } from 'vitest';
import { describeMemoryContract } from '../support/memory-contract.js';
import { simulate } from '../support/simulated-geometry.js';

const geometry = { pageSizeBytes: 4096, granularityBytes: 65536 };

simulate(geometry);

describe('memory with pages of 4 KiB, granularity 64 KiB', () => {
  describeMemoryContract(geometry);
});
