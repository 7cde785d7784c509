import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// What `npm run test:faults` runs; `npm test` leaves it out.
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/faults/**/*.test.ts'],
    // As in vitest.config.ts: tests measure their own process.
    pool: 'forks',
    // One after the other: some set limits for the whole machine, and some count what it has left.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
