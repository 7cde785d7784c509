/**
 * A map of the shadow's address space: the stretches of it that belong to the program's memory, cut into equal blocks,
 * with what of each block is committed and what is resident.
 *
 * A program's memory lies in few places with terabytes between them, so the map is a list of areas; what lies between
 * two areas is no program's.
 */

import type { AddressRange, ShadowBlock } from '../native/addon.js';
import { geometry } from '../native/system.js';
import type { Shadow } from '../shadow/shadow.js';

/** One stretch of shadow addresses. */
export interface MapArea {
  /** The application range that it is the shadow of, as the layout calls it: `data`, `heap`. */
  readonly name: string;
  /** First and last application memory in it that is mapped. */
  readonly application: AddressRange;
  /** Ascending, one behind the other, each of the map's `blockBytes`. */
  readonly blocks: readonly ShadowBlock[];
}

/** The shadow (not the metainfo) of everything that a program has mapped. */
export interface AddressMap {
  /** Bytes of shadow in a block: a power of two. */
  readonly blockBytes: number;
  /** Ascending. */
  readonly areas: readonly MapArea[];
  /** Areas that were left out because there are too many to show: the smallest. */
  readonly omittedAreas: number;
}

/** Blocks that a map aims at: what fits a screen. */
const MOST_BLOCKS = 256;
/** Areas that a map shows: Go's heap begins anew a terabyte further on when its addresses are taken, which is rare. */
const MOST_AREAS = 8;

interface Stretch extends AddressRange {
  readonly name: string;
}

/** The map of a shadow as it is now; undefined while nothing is mapped. Asks the operating system: milliseconds. */
export function addressMap(shadow: Shadow): AddressMap | undefined {
  const stretches = stretchesOf(shadow);
  const bySize = stretches.toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  const shown = new Set(bySize.slice(0, MOST_AREAS));
  const kept = stretches.filter((stretch) => shown.has(stretch));
  if (kept.length === 0) return undefined;
  const { multiplier } = shadow.layout.shadow;
  const shadowBytes = kept.reduce((sum, { sizeBytes }) => sum + sizeBytes * multiplier, 0);
  const { pageSizeBytes } = geometry();
  const blockBytes = Math.max(pageSizeBytes, 2 ** Math.ceil(Math.log2(shadowBytes / MOST_BLOCKS)));
  const areas = kept.map(({ name, address, sizeBytes }) => ({
    name,
    application: { address, sizeBytes },
    blocks: shadow.blocks(address, sizeBytes, blockBytes),
  }));
  return { blockBytes, areas, omittedAreas: stretches.length - kept.length };
}

/**
 * What is mapped, with its small holes: a hole that is larger than all that is mapped separates two stretches, and so
 * does the border of two application ranges.
 */
function stretchesOf(shadow: Shadow): Stretch[] {
  const ranges = shadow.mappedRanges();
  const mappedBytes = ranges.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const stretches: { name: string; address: number; sizeBytes: number }[] = [];
  for (const { address, sizeBytes } of ranges) {
    const name =
      shadow.layout.application.find(({ start, end }) => start <= address && address < end)?.name ?? '';
    const last = stretches.at(-1);
    const near = last !== undefined && address - (last.address + last.sizeBytes) <= mappedBytes;
    if (near && last.name === name) last.sizeBytes = address + sizeBytes - last.address;
    else stretches.push({ name, address, sizeBytes });
  }
  return stretches;
}
