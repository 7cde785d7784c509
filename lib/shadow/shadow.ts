/**
 * Shadow memory of a program, mapped under one of four policies.
 *
 * What a caller tells (`mapShadow`: this application memory is in use) and asks is here; cells are written through
 * the segments of segment.ts, by code in lib/ only.
 *
 * Invariant: whatever the policy, the same calls give the same answers and the same shadow contents; only `stats`
 * and the failures of the operating system differ.
 */

import {
  type AddressRange,
  addon,
  type MemoryStats,
  mapShadow,
  type NativePlane,
  type NativeShadowMap,
  type ShadowBlock,
} from '../native/addon.js';
import { checkedAddress, checkedSize, oneOf, requireAddressable, wholeNumber } from '../native/arguments.js';
import { formatAddress, LazyShadowError } from '../native/errors.js';
import { guarded, publicError } from '../native/failures.js';
import { firstMapping } from '../native/system.js';
import { designOf } from './design.js';
import {
  type AddressSpan,
  checkedLayout,
  DEFAULT_LAYOUT,
  type Layout,
  layoutByName,
  METAINFO_BYTES_PER_GRANULE,
  withHeapBytes,
} from './layouts.js';
import { DEFAULT_POLICY, POLICIES, type Policy } from './policies.js';
import { GRANULE_BYTES, type ShadowMemory } from './segment.js';
import { SHADOW_PLANE, ShadowWindows } from './windows.js';

/** What a shadow is made of. */
export interface ShadowOptions {
  /** The name of a built-in layout (see `LAYOUT_NAMES`), or a layout of one's own. Default `node-x4`. */
  readonly layout?: string | Layout;
  /** Default `lazy`. */
  readonly policy?: Policy;
  /** Cuts the layout's last application range, the heap, to this size, and reserves shadow for no more than that. */
  readonly heapBytes?: number;
  /** Under `touch`: bytes that are committed at once, a power of two from the page size to 1 GiB. Default a page. */
  readonly touchBlockBytes?: number;
}

/** What is mapped, reserved, committed and resident of a shadow, metainfo included, in bytes. */
export interface ShadowStats extends MemoryStats {
  /** Application memory whose shadow is mapped. */
  readonly mappedBytes: number;
  /** Isolated commits that were joined to a neighbour because the system's mappings ran short … */
  readonly mergedIslands: number;
  /** … and what was committed only for that. */
  readonly mergedBytes: number;
}

/** One stretch of addresses that a shadow lies in. */
export interface ShadowSpan {
  /** What lies in it. */
  readonly plane: 'shadow' | 'metainfo';
  /** Where the layout wants it. */
  readonly wantedAddress: number;
  /** Where it is. */
  readonly address: number;
  /** Its length. */
  readonly sizeBytes: number;
}

const MAX_TOUCH_BLOCK_BYTES = 2 ** 30; // a segment's window at multiplier 4
/** Blocks that can be asked for at once; native/shadow_map.h has the same number. */
const MAX_BLOCKS = 2 ** 16;

/** The number of no native map. */
const NO_HANDLE = -1;

function numberOrNaN(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'bigint' ? Number(value) : Number.NaN;
}

interface Region extends AddressSpan {
  /** Where the shadow, and the metainfo, of address 0 would be, had it any: after moves. */
  readonly shadowOrigin: number;
  readonly metainfoOrigin: number | null;
}

/** What a handle of a shadow tells another thread, through the native map's description. */
interface Description {
  readonly layout: Layout;
  readonly policy: Policy;
}

/**
 * What a shadow's cells are reached through. For lib/ only: its windows span memory that must not be touched unless the
 * page states say so.
 */
export let windowsOf: (shadow: Shadow) => ShadowMemory;

/**
 * As windowsOf, for a detector: the only one that the shadow ever has, since it would take what another has left there
 * for its own.
 * @throws LazyShadowError ERR_INVALID_ARGUMENT: no Shadow; ERR_INVALID_USE: it has had a detector; ERR_RELEASED
 */
export let claimWindows: (verb: string, shadow: Shadow) => ShadowMemory;

/** The shadow of a program's memory. */
export class Shadow {
  static {
    windowsOf = (shadow) => shadow.#windows;
    claimWindows = (verb, shadow) => {
      if (typeof shadow !== 'object' || shadow === null || !(#windows in shadow)) {
        throw new LazyShadowError('ERR_INVALID_ARGUMENT', `${verb}: the shadow must be made by new Shadow.`, {
          verb,
        });
      }
      if (shadow.#live(verb).claim()) return shadow.#windows;
      throw new LazyShadowError(
        'ERR_INVALID_USE',
        `${verb}: the shadow holds the cells of another race runtime. Make a new one.`,
        { verb },
      );
    };
  }

  /** Where the shadow of what lies. */
  readonly layout: Layout;
  /** When it is mapped. */
  readonly policy: Policy;
  /** Where the shadow lies. */
  readonly spans: readonly ShadowSpan[];
  /** Whether some span is not where the layout wants it, because something else was there. */
  readonly moved: boolean;
  /** For {@link Shadow.attach} in another thread. */
  readonly id: number;

  #map: NativeShadowMap | undefined;
  /** The number of the native map, for mapShadow. */
  #handle: number;
  readonly #regions: readonly Region[];
  readonly #windows: ShadowWindows;

  /**
   * Reserves, or maps, what the policy wants at the start.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT; ERR_OUT_OF_MEMORY (eager, or a limit on address space)
   */
  constructor(options: ShadowOptions = {}) {
    const native = addon();
    const { pageSizeBytes, allocationGranularityBytes } = native.geometry();
    if (typeof options !== 'object' || options === null) {
      throw new LazyShadowError('ERR_INVALID_ARGUMENT', 'new Shadow: the options must be an object.', {
        verb: 'new Shadow',
      });
    }
    const attached = attachments.get(options);
    if (attached !== undefined) {
      this.#map = guarded('attach', () => new native.ShadowMap(attached));
      const description = JSON.parse(this.#map.description) as Description;
      this.layout = description.layout;
      this.policy = description.policy;
    } else {
      const { policy = DEFAULT_POLICY, layout: given = DEFAULT_LAYOUT, heapBytes } = options;
      this.policy = oneOf('new Shadow', 'policy', policy, POLICIES);
      const layout = typeof given === 'string' ? layoutByName(given) : checkedLayout(given);
      this.layout =
        heapBytes === undefined
          ? layout
          : withHeapBytes(layout, checkedSize('new Shadow', heapBytes, undefined, 'heapBytes'));
      const design = {
        policy: POLICIES.indexOf(this.policy),
        touchBlockBytes: checkedTouchBlock(options.touchBlockBytes, pageSizeBytes),
        description: JSON.stringify({ layout: this.layout, policy: this.policy } satisfies Description),
        ...designOf(this.layout, allocationGranularityBytes),
      };
      this.#map = guarded('new Shadow', () => new native.ShadowMap(design));
    }
    this.id = this.#map.id;
    this.#handle = this.#map.handle;
    this.#windows = new ShadowWindows(this, this.#map, pageSizeBytes);

    const { spans, regions } = designOf(this.layout, allocationGranularityBytes);
    const actual = this.#map.spans();
    this.spans = spans.map(({ plane, address, sizeBytes }, i) => {
      return { plane, wantedAddress: address, address: actual[i]?.address ?? address, sizeBytes };
    });
    this.moved = this.spans.some((span) => span.address !== span.wantedAddress);
    const originOf = ({ origin, span }: NativePlane): number => {
      const { address = 0, wantedAddress = 0 } = this.spans[span] ?? {};
      return origin + address - wantedAddress;
    };
    this.#regions = regions.map(({ address, sizeBytes, planes: [shadow, metainfo] }) => ({
      start: address,
      end: address + sizeBytes,
      shadowOrigin: shadow ? originOf(shadow) : 0,
      metainfoOrigin: metainfo ? originOf(metainfo) : null,
    }));
  }

  /**
   * The shadow that another thread of this process made: the same memory, a handle of one's own.
   * @param id that shadow's `id`
   * @throws LazyShadowError ERR_INVALID_ARGUMENT if there is no live one with this number
   */
  static attach(id: number): Shadow {
    const options: ShadowOptions = {};
    attachments.set(options, wholeNumber('attach', 'id', id));
    return new Shadow(options);
  }

  /** Whether this handle has been released. */
  get released(): boolean {
    return this.#map === undefined;
  }

  /**
   * Tells that application memory is in use: from now on its shadow may be written. In any order, with overlaps and
   * repeats, from any thread, aligned to nothing; shadow that is live is never cleared.
   * @param address first application address; the range must lie inside one application range of the layout
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_RELEASED; ERR_OUT_OF_MEMORY and, under
   *   `unreserved`, ERR_ADDRESS_TAKEN with the address that conflicts. What was mapped before stays as it was.
   */
  mapShadow(address: number | bigint, sizeBytes: number | bigint): void {
    try {
      // What could be wrong with them the addon sees in a few instructions; only then are they looked at here.
      mapShadow(this.#handle, numberOrNaN(address), numberOrNaN(sizeBytes));
    } catch (error) {
      throw this.#explained('mapShadow', address, sizeBytes, error);
    }
  }

  /**
   * Forgets the shadow of application memory and gives its pages back (under `eager` and `unreserved` they stay
   * mapped, empty, and so they do while another thread keeps cells in this shadow). When the range is mapped again its
   * shadow is zero. Parts that are not mapped are no error.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_RELEASED
   */
  unmapShadow(address: number | bigint, sizeBytes: number | bigint): void {
    const map = this.#live('unmapShadow');
    const start = checkedAddress('unmapShadow', address);
    const size = checkedSize('unmapShadow', sizeBytes, start);
    requireAddressable('unmapShadow', start, size);
    try {
      map.unmapShadow(start, size);
    } catch (error) {
      throw this.#explained('unmapShadow', start, size, error);
    }
  }

  /**
   * Whether every byte of an application range has its shadow mapped.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE (beyond what a program can address), ERR_RELEASED
   */
  isMapped(address: number | bigint, sizeBytes: number | bigint = 1): boolean {
    const map = this.#live('isMapped');
    const start = checkedAddress('isMapped', address);
    const size = checkedSize('isMapped', sizeBytes, start);
    requireAddressable('isMapped', start, size);
    return guarded('isMapped', () => map.isMapped(start, size));
  }

  /**
   * How many bytes of an application range have their shadow mapped.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE (beyond what a program can address), ERR_RELEASED
   */
  mappedBytes(address: number | bigint, sizeBytes: number | bigint): number {
    const map = this.#live('mappedBytes');
    const start = checkedAddress('mappedBytes', address);
    const size = checkedSize('mappedBytes', sizeBytes, start);
    requireAddressable('mappedBytes', start, size);
    return guarded('mappedBytes', () => map.mappedBytes(start, size));
  }

  /**
   * The shadow address of an application address: where the cells of its 8-byte granule begin. Pure arithmetic.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE if the layout has no shadow for it
   */
  memToShadow(address: number | bigint): number {
    const start = checkedAddress('memToShadow', address);
    const { shadowOrigin } = this.#regionOf('memToShadow', start);
    return shadowOrigin + Math.floor(start / GRANULE_BYTES) * GRANULE_BYTES * this.layout.shadow.multiplier;
  }

  /**
   * The metainfo address of an application address. Pure arithmetic.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_UNSUPPORTED if the layout has no metainfo
   */
  memToMetainfo(address: number | bigint): number {
    const start = checkedAddress('memToMetainfo', address);
    const { metainfoOrigin } = this.#regionOf('memToMetainfo', start);
    if (metainfoOrigin === null) {
      throw new LazyShadowError(
        'ERR_UNSUPPORTED',
        `memToMetainfo: the layout ${this.layout.name} has no metainfo. Use one that has.`,
        { verb: 'memToMetainfo', address: start },
      );
    }
    return metainfoOrigin + Math.floor(start / GRANULE_BYTES) * METAINFO_BYTES_PER_GRANULE;
  }

  /**
   * The application ranges whose shadow is mapped, ascending; neighbours are one.
   * @throws LazyShadowError ERR_RELEASED
   */
  mappedRanges(): AddressRange[] {
    const map = this.#live('mappedRanges');
    return guarded('mappedRanges', () => map.mappedRanges());
  }

  /**
   * The shadow (not the metainfo) of an application range, in blocks: which are committed, and which resident. Asks the
   * operating system: milliseconds.
   * @param blockBytes bytes of shadow in a block, to whose multiples the blocks are aligned: a power of two from the
   *   page size on. There are fewer than 65536 blocks.
   * @throws LazyShadowError ERR_INVALID_ARGUMENT, ERR_OUT_OF_RANGE, ERR_RELEASED
   */
  blocks(address: number | bigint, sizeBytes: number | bigint, blockBytes: number): ShadowBlock[] {
    const verb = 'blocks';
    const map = this.#live(verb);
    const start = checkedAddress(verb, address);
    const size = checkedSize(verb, sizeBytes, start);
    requireAddressable(verb, start, size);
    const block = checkedPowerOfTwo(verb, 'blockBytes', blockBytes);
    const count = Math.ceil((size * this.layout.shadow.multiplier) / block);
    if (count >= MAX_BLOCKS) {
      throw new LazyShadowError(
        'ERR_OUT_OF_RANGE',
        `${verb}: the range has ${count} blocks of ${block} bytes, too many to list. Ask for larger ones.`,
        { verb, address: start, sizeBytes: size },
      );
    }
    try {
      return map.blocks(start, size, SHADOW_PLANE, block);
    } catch (error) {
      throw this.#explained(verb, start, size, error);
    }
  }

  /**
   * What is mapped, reserved, committed and resident, in bytes. Asks the operating system: milliseconds.
   * @throws LazyShadowError ERR_RELEASED; ERR_OS if the system does not tell
   */
  stats(): ShadowStats {
    const map = this.#live('stats');
    return guarded('stats', () => map.stats());
  }

  /**
   * Gives this thread's handle up; the memory goes back to the system with the last thread's. Again is nothing.
   */
  release(): void {
    this.#windows.close();
    this.#map?.release();
    this.#map = undefined;
    this.#handle = NO_HANDLE;
  }

  #live(verb: string): NativeShadowMap {
    if (this.#map !== undefined) return this.#map;
    throw new LazyShadowError('ERR_RELEASED', `${verb}: this shadow has been released. Make a new one.`, {
      verb,
    });
  }

  #regionOf(verb: string, address: number): Region {
    const region = this.#regions.find(({ start, end }) => address >= start && address < end);
    if (region !== undefined) return region;
    throw new LazyShadowError(
      'ERR_OUT_OF_RANGE',
      `${verb}: ${formatAddress(address)} is in no application range of the layout ${this.layout.name}. ` +
        `Stay inside ${this.#rangesInWords()}.`,
      { verb, address },
    );
  }

  #rangesInWords(): string {
    return this.layout.application
      .map(({ name, start, end }) => `${name} (${formatAddress(start)} to ${formatAddress(end)})`)
      .join(' or ');
  }

  /** The public form of a failure, with what only the layout, or another question to the system, can tell. */
  #explained(verb: string, givenAddress: unknown, givenSize: unknown, thrown: unknown): unknown {
    this.#live(verb);
    const address = checkedAddress(verb, givenAddress);
    const sizeBytes = checkedSize(verb, givenSize, address);
    requireAddressable(verb, address, sizeBytes);
    const error = publicError(verb, thrown);
    if (!(error instanceof LazyShadowError)) return error;
    if (error.code === 'ERR_OUT_OF_RANGE') {
      return new LazyShadowError(
        'ERR_OUT_OF_RANGE',
        `${verb}: ${sizeBytes} bytes at ${formatAddress(address)} do not lie inside one application range of the ` +
          `layout ${this.layout.name}. Stay inside ${this.#rangesInWords()}.`,
        { verb, address, sizeBytes },
      );
    }
    if (error.code === 'ERR_ADDRESS_TAKEN' && error.address !== undefined && error.sizeBytes !== undefined) {
      const conflict = conflictIn(error.address, error.sizeBytes);
      return new LazyShadowError(
        'ERR_ADDRESS_TAKEN',
        `${verb}: the shadow of ${sizeBytes} bytes at ${formatAddress(address)} belongs at ` +
          `${formatAddress(error.address)}, but something else is mapped at ${formatAddress(conflict)}. ` +
          'Use another layout, or a policy that reserves its shadow at the start (lazy, touch).',
        { verb, address: conflict, sizeBytes: error.sizeBytes, osCode: error.osCode },
      );
    }
    return error;
  }
}

/** Options objects that mean: attach to the shadow of this number. */
const attachments = new WeakMap<ShadowOptions, number>();

/** Where something stands in the way: as near as the system tells. */
function conflictIn(address: number, sizeBytes: number): number {
  try {
    return firstMapping(address, sizeBytes) ?? address;
  } catch {
    return address; // the refusal that is being explained matters more than this one
  }
}

/** A power of two from the page size to `most`. */
function checkedPowerOfTwo(verb: string, name: string, given: unknown, most = 2 ** 47): number {
  const { pageSizeBytes } = addon().geometry();
  const bytes = checkedSize(verb, given, undefined, name);
  if (bytes >= pageSizeBytes && bytes <= most && Number.isInteger(Math.log2(bytes))) return bytes;
  throw new LazyShadowError(
    'ERR_INVALID_ARGUMENT',
    `${verb}: ${name} must be a power of two from ${pageSizeBytes}, the page size, to ${most}.`,
    { verb, sizeBytes: bytes },
  );
}

function checkedTouchBlock(given: unknown, pageSizeBytes: number): number {
  return given === undefined
    ? pageSizeBytes
    : checkedPowerOfTwo('new Shadow', 'touchBlockBytes', given, MAX_TOUCH_BLOCK_BYTES);
}
