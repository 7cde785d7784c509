/** Some arm64 kernels have pages of 64 KiB. */
import { describe } from 'vitest';
import { describeMemoryContract } from '../support/memory-contract.js';
import { simulate } from '../support/simulated-geometry.js';

const geometry = { pageSizeBytes: 65536, granularityBytes: 65536 };

simulate(geometry);

describe('memory with pages of 64 KiB, granularity 64 KiB', () => {
  describeMemoryContract(geometry);
});
