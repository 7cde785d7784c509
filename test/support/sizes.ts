/**
 * How much of the machine a test takes. Wine and qemu pay for every page that is reserved, so scripts/platforms, which
 * runs the tests under them, sets LAZYSHADOW_TEST_EMULATED, and shadows are then made for a smaller heap.
 */
import type { HeapOptions } from '../../lib/heap/mallocinit.js';
import type { Layout } from '../../lib/shadow/layouts.js';
import type { ShadowOptions } from '../../lib/shadow/shadow.js';
import { windows } from './proc.js';

/** Whether an emulator runs this, for which some things cost more than they tell. */
export const emulated = process.env['LAZYSHADOW_TEST_EMULATED'] !== undefined;

/** Whether this is Wine, which keeps account of each page and looks at each that it is asked about. */
export const wine = process.env['LAZYSHADOW_TEST_EMULATED'] === 'wine';

/** Whether each instruction is emulated too, at a tenth of the speed: then a part of the recordings must do. */
export const slow = process.env['LAZYSHADOW_TEST_EMULATED'] === 'qemu';

/** Whether the addon was built with AddressSanitizer (scripts/sanitizers.mjs), which takes addresses and memory itself. */
export const sanitized = process.env['LAZYSHADOW_TEST_SANITIZED'] !== undefined;

/** For tests that are not about the size: the heap of the layout, or 4 GiB of it. */
export const HEAP_SIZE: ShadowOptions = emulated ? { heapBytes: 2 ** 32 } : {};

/** Data as a small program has it, and room for two arenas of 48 MiB: on Windows V8 may lie in the way of the first. */
const SMALL_LAYOUT: Layout = {
  name: 'small',
  application: [
    { name: 'data', start: 0x1000, end: 0x100_0000 },
    { name: 'heap', start: 0xc0_0000_0000, end: 0xc0_0800_0000 },
  ],
  shadow: { base: 0x4000_0000_0000, multiplier: 4 },
  metainfo: { base: 0x5000_0000_0000 },
};

/**
 * For tests of a Heap with its shadow: Go's arena is 128 GiB and begins 8 GiB into the layout's heap. Windows charges
 * `eager` for the shadow of all that, and emulators pay for the pages; there the arena is small, and so is its shadow.
 */
export const ARENA: { shadow: ShadowOptions; heap: HeapOptions } =
  emulated || windows
    ? { shadow: { layout: SMALL_LAYOUT }, heap: { maxMemBytes: 48 * 2 ** 20 } }
    : { shadow: {}, heap: {} };
