/**
 * lazyshadow's public face. docs/overview.md walks a call from here to the operating system and back.
 *
 * Importing this loads nothing of the command line, and the native addon only when it is first needed.
 */

export type { AddressRange, MemoryStats } from './native/addon.js';
export {
  formatAddress,
  LazyShadowError,
  type LazyShadowErrorCode,
  type LazyShadowErrorDetails,
} from './native/errors.js';
export { Reservation, type ReserveOptions } from './native/reservation.js';
export { type ProcessMemory, processMemory, type SystemMemory, systemMemory } from './native/system.js';
export {
  type AddressSpan,
  type ApplicationRange,
  DEFAULT_LAYOUT,
  LAYOUT_NAMES,
  type Layout,
  layoutByName,
} from './shadow/layouts.js';
export { DEFAULT_POLICY, POLICIES, type Policy } from './shadow/policies.js';
export { Shadow, type ShadowOptions, type ShadowSpan, type ShadowStats } from './shadow/shadow.js';
