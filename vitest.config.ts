import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those take minutes, and want the machine to themselves: `npm run test:faults`.
    exclude: ['test/faults/**'],
    // Forks, because tests measure their own process and spawn others; threads would share the numbers.
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
