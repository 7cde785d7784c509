/** Memory on this machine, with the pages and the granularity that it has. */
import { describe } from 'vitest';
import { describeMemoryContract } from '../support/memory-contract.js';

describe('memory', () => describeMemoryContract());
