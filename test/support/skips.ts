/**
 * Tests that cannot run everywhere. Each gives its reason, which scripts/platforms prints beside the number of tests
 * that a platform skipped; there, a skip without a reason is a failure.
 */
import { release } from 'node:os';
import type { TestContext } from 'vitest';
import { linux } from './proc.js';
import { slow } from './sizes.js';

declare module 'vitest' {
  interface TaskMeta {
    skipReason?: string;
  }
}

/** Options of a test, or of a suite, that is skipped unless it is possible here. */
export function unless(possible: boolean, reason: string): { skip?: boolean; meta?: { skipReason: string } } {
  return possible ? {} : { skip: true, meta: { skipReason: reason } };
}

/** For tests that ask the kernel itself, past the addon. */
export const unlessNoProc = unless(linux, 'only Linux has /proc to compare with');

const [major = 0, minor = 0] = release().split('.').map(Number);

/** For tests of what `touch` commits page by page, without mappings. */
export const unlessMemoryFiles = unless(
  linux && !slow && (major > 5 || (major === 5 && minor >= 14)),
  'memory files are committed by the page on Linux 5.14 and later, and not under qemu',
);

/** Ends a test that finds out while it runs that it is not possible here. */
export function skipNow(context: TestContext, reason: string): never {
  context.task.meta.skipReason = reason;
  return context.skip(reason);
}
