/**
 * The four mapping policies. docs/overview.md has the table of what each does when, and on which system by which
 * calls; native/shadow_map.cc does it.
 */

/**
 * - `eager`: the whole shadow is mapped at the start, as Go did before November 2012.
 * - `unreserved`: nothing at the start; mapShadow maps the range's shadow at its fixed address, as Go has done since.
 * - `lazy`: the whole shadow is reserved at the start; mapShadow commits the range's.
 * - `touch`: as lazy, but mapShadow only notes the range; a page is committed when it is first written.
 */
export type Policy = 'eager' | 'unreserved' | 'lazy' | 'touch';

/** All policies; the position of each is its number in native/shadow_map.h. */
export const POLICIES: readonly Policy[] = ['eager', 'unreserved', 'lazy', 'touch'];

/** The policy that is used when none is named. */
export const DEFAULT_POLICY: Policy = 'lazy';
