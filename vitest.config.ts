import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those take minutes, and want the machine to themselves: `npm run test:faults`.
    exclude: ['test/faults/**'],
    // Forks, because tests measure their own process and spawn others; threads would share the numbers.
    pool: 'forks',
    // Vitest would leave a processor to itself, which needs hardly any of it; on two, using it saves a quarter of the time.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
