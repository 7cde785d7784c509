/**
 * What was committed for want of mappings is said below the page's table, and below the terminal's (test/cli/measure.test.ts).
 */
import { expect, it } from 'vitest';
import { measure } from '../../lib/measure/measure.js';
import { page } from '../../lib/report/page.js';

it('a page says which policy joined pieces, and what that cost', async () => {
  const measurement = await measure({
    workload: 'growth',
    heapBytes: 2 ** 20,
    policies: ['lazy', 'touch'],
    map: true,
  });
  const data = { version: '1', machine: 'a machine', measuredAt: '2026-01-31T12:00:00Z' };
  expect(page({ ...data, measurement })).not.toContain('vm.max_map_count');
  const policies = measurement.policies.map((row) =>
    row.policy === 'touch' ? { ...row, final: { ...row.final, mergedBytes: 3 * 2 ** 20 } } : row,
  );
  const text = page({ ...data, measurement: { ...measurement, policies } });
  expect(text).toContain('<p class="note">touch: 3 MiB of what is committed joins pieces');
  expect(text).not.toContain('<p class="note">lazy');
});
