import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those take minutes, and want the machine to themselves: `npm run test:faults`.
    exclude: ['test/faults/**'],
    // Forks, because tests measure their own process and spawn others; threads would share the numbers.
    pool: 'forks',
    // A processor each: vitest keeps one for itself, which needs hardly any. On two that is a quarter of the time.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
