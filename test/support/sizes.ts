/**
 * How much of the machine a test takes. Wine and qemu pay for every page that is reserved, so scripts/platforms, which
 * runs the tests under them, sets LAZYSHADOW_TEST_EMULATED, and shadows are then made for a smaller heap.
 */
import type { ShadowOptions } from '../../lib/shadow/shadow.js';

/** Whether an emulator runs this, for which some things cost more than they tell. */
export const emulated = process.env['LAZYSHADOW_TEST_EMULATED'] !== undefined;

/** Whether each instruction is emulated too, at a tenth of the speed: then a part of the recordings must do. */
export const slow = process.env['LAZYSHADOW_TEST_EMULATED'] === 'qemu';

/** For tests that are not about the size: the heap of the layout, or 4 GiB of it. */
export const HEAP_SIZE: ShadowOptions = emulated ? { heapBytes: 2 ** 32 } : {};
