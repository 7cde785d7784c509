/**
 * Larger pages and granularity than the machine's, for the process that a test file runs in: native/
 * geometry_simulation.h reads the variables when the addon is first asked for them.
 */

/** @returns false where it cannot be done: on Windows the addon does not see what Node adds to the environment */
export function simulate({ pageSizeBytes, granularityBytes }: Record<string, number>): boolean {
  process.env['LAZYSHADOW_TEST_PAGE_SIZE'] = String(pageSizeBytes);
  process.env['LAZYSHADOW_TEST_GRANULARITY'] = String(granularityBytes);
  return process.platform !== 'win32';
}
