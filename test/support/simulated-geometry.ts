/**
 * Larger pages and granularity than the machine's, for the process that a test file runs in: native/
 * geometry_simulation.h reads the variables when the addon is first asked for them.
 */

export interface SimulatedGeometry {
  readonly pageSizeBytes: number;
  readonly granularityBytes: number;
}

export function simulate({ pageSizeBytes, granularityBytes }: SimulatedGeometry): void {
  process.env['LAZYSHADOW_TEST_PAGE_SIZE'] = String(pageSizeBytes);
  process.env['LAZYSHADOW_TEST_GRANULARITY'] = String(granularityBytes);
}
