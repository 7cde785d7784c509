/**
 * Random calls of several threads to the same reservations and shadows, at the same time: handles that come and go, are
 * dropped for the collector or end with their thread, views that are kept, moved and cloned, a detector that writes to
 * shadow that others unmap.
 *
 * No model can say what comes of it; but nothing ends the process, every refusal is one of the library's, a view is
 * whole or empty, and when all threads rest the system's numbers are the library's.
 */
import { LazyShadowError } from '../../../lib/native/errors.js';
import { Reservation } from '../../../lib/native/reservation.js';
import { geometry } from '../../../lib/native/system.js';
import { Race } from '../../../lib/race/package-race.js';
import { Shadow } from '../../../lib/shadow/shadow.js';
import { chargedBytes, linux, mappings } from '../../support/proc.js';
import type { Actor, World } from './actor.js';
import { someRange } from './arguments.js';
import { insist } from './calls.js';

const PAGE = geometry().pageSizeBytes;
const SHARED_PAGES = 64;
const HEAP = 0xc0_0000_0000;
const AREA_BYTES = 2 ** 20;
const MOST_HANDLES = 4;
const MOST_VIEWS = 12;

/** By what other threads find what is shared. */
export interface SharedPlaces {
  readonly reservations: readonly number[];
  readonly shadows: readonly number[];
}

/** What is shared, held by the thread that made it until all others are done. */
export class Shared {
  readonly #reservations: Reservation[] = [];
  readonly #shadows: Shadow[] = [];

  constructor() {
    for (let i = 0; i < 3; i++) this.#reservations.push(Reservation.reserve(SHARED_PAGES * PAGE));
    for (const policy of ['lazy', 'touch'] as const) {
      this.#shadows.push(new Shadow({ policy, heapBytes: 2 ** 28 }));
    }
  }

  get places(): SharedPlaces {
    return {
      reservations: this.#reservations.map(({ address }) => address),
      shadows: this.#shadows.map(({ id }) => id),
    };
  }

  /** To be called while no other thread does anything. */
  verify(): void {
    const kernel = linux ? mappings() : [];
    for (const reservation of this.#reservations) {
      const { committedBytes, osCommittedBytes } = reservation.stats();
      insist(
        committedBytes === osCommittedBytes,
        () => `shared memory: ${committedBytes} is ${osCommittedBytes}`,
      );
      const listed = reservation.committedRanges().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      insist(listed === committedBytes, () => `shared memory lists ${listed}, not ${committedBytes}`);
      if (!linux) continue;
      const charged = chargedBytes(reservation.address, reservation.sizeBytes, kernel);
      insist(
        charged === committedBytes,
        () => `smaps has ${charged} of shared memory, not ${committedBytes}`,
      );
    }
    for (const shadow of this.#shadows) {
      const { committedBytes, osCommittedBytes, mappedBytes } = shadow.stats();
      insist(
        committedBytes === osCommittedBytes,
        () => `shared shadow: ${committedBytes} is ${osCommittedBytes}`,
      );
      const ranges = shadow.layout.application;
      const listed = ranges.reduce((sum, { start, end }) => sum + shadow.mappedBytes(start, end - start), 0);
      insist(listed === mappedBytes, () => `shared shadow has ${listed} mapped, not ${mappedBytes}`);
    }
  }

  release(): void {
    for (const reservation of this.#reservations) reservation.release();
    for (const shadow of this.#shadows) shadow.release();
  }
}

interface View {
  readonly bytes: Uint8Array;
  readonly size: number;
}

/** ArrayBuffer.prototype.transfer came with Node 22. */
interface Transferable {
  transfer?(): ArrayBuffer;
}

export class SharedActor implements Actor {
  readonly #world: World;
  readonly #places: SharedPlaces;
  #handles: Reservation[] = [];
  #views: View[] = [];
  #shadows: Shadow[] = [];
  #race: Race | undefined;

  constructor(world: World, places: SharedPlaces) {
    this.#world = world;
    this.#places = places;
  }

  step(): void {
    const { random } = this.#world;
    random.weighted<() => void>([
      [3, () => this.#attach()],
      [1, () => this.#leave()],
      [15, () => this.#use('commit')],
      [10, () => this.#use('decommit')],
      [4, () => this.#use('purge')],
      [10, () => this.#open()],
      [20, () => this.#write()],
      [1, () => this.#move()],
      [15, () => this.#useShadow()],
      [20, () => this.#detect()],
    ])();
  }

  verify(): void {}

  end(): void {
    for (const handle of this.#handles) handle.release();
    for (const shadow of this.#shadows) shadow.release();
    this.#handles = [];
    this.#shadows = [];
    this.#views = [];
    this.#race = undefined;
  }

  #attach(): void {
    const { random, calls } = this.#world;
    if (this.#handles.length < MOST_HANDLES) {
      const address = random.pick(this.#places.reservations);
      const handle = calls.exactly('Reservation.attach', [address], undefined, () =>
        Reservation.attach(address),
      );
      if (handle) this.#handles.push(handle);
    }
    if (this.#shadows.length < MOST_HANDLES) {
      const id = random.pick(this.#places.shadows);
      const shadow = calls.exactly('Shadow.attach', [id], undefined, () => Shadow.attach(id));
      if (shadow) this.#shadows.push(shadow);
    }
  }

  /** Released, or only dropped: then its views keep what they cover until the collector has found them. */
  #leave(): void {
    const { random, calls } = this.#world;
    const [handle] = this.#handles.splice(random.below(this.#handles.length + 1), 1);
    if (random.percent(70)) calls.exactly('release', [], undefined, () => handle?.release());
    const [shadow] = this.#shadows.splice(random.below(this.#shadows.length + 1), 1);
    if (random.percent(70)) calls.exactly('release', [], undefined, () => shadow?.release());
    if (random.percent(2)) globalThis.gc?.();
  }

  #use(verb: 'commit' | 'decommit' | 'purge'): void {
    const { random, calls } = this.#world;
    if (this.#handles.length === 0) return;
    const handle = random.pick(this.#handles);
    const [address, size] = someRange(random, handle.address, handle.address + handle.sizeBytes, PAGE);
    calls.loosely(verb, [address, size], () => handle[verb](address as number, size as number));
  }

  #open(): void {
    const { random, calls } = this.#world;
    if (this.#handles.length === 0) return;
    const handle = random.pick(this.#handles);
    const [address, size] = someRange(random, handle.address, handle.address + handle.sizeBytes, PAGE);
    const bytes = calls.loosely('bytes', [address, size], () =>
      handle.bytes(address as number, size as number),
    );
    if (bytes === undefined) return;
    this.#views.push({ bytes, size: Number(size) });
    if (this.#views.length > MOST_VIEWS) this.#views.splice(random.below(MOST_VIEWS), 1);
  }

  #write(): void {
    const { random } = this.#world;
    if (this.#views.length === 0) return;
    const { bytes, size } = random.pick(this.#views);
    insist(bytes.length === 0 || bytes.length === size, () => `a view has ${bytes.length} of ${size} bytes`);
    if (bytes.length === 0) return;
    const at = random.below(size);
    bytes.fill(random.below(256), at, at + random.size(4 * PAGE));
  }

  /** To a buffer that nobody here knows of. */
  #move(): void {
    const { random } = this.#world;
    if (this.#views.length === 0) return;
    const { bytes, size } = random.pick(this.#views);
    const buffer = bytes.buffer as ArrayBuffer & Transferable;
    if (random.percent(50)) {
      try {
        structuredClone(bytes, { transfer: [buffer] });
      } catch (error) {
        insist(!(error instanceof LazyShadowError), () => 'a clone was refused by the library');
      }
    } else if (bytes.length > 0 && bytes.byteOffset === 0 && buffer.byteLength === size) {
      const moved = buffer.transfer?.();
      if (moved !== undefined) this.#views.push({ bytes: new Uint8Array(moved), size });
    }
  }

  #useShadow(): void {
    const { random, calls } = this.#world;
    if (this.#shadows.length === 0) return;
    const shadow = random.pick(this.#shadows);
    const [address, size] = someRange(random, HEAP, HEAP + AREA_BYTES, 8);
    const verb = random.pick(['mapShadow', 'mapShadow', 'unmapShadow', 'isMapped', 'mappedBytes'] as const);
    calls.loosely(verb, [address, size], () => shadow[verb](address as number, size as number));
  }

  /** The first thread that asks has the detector. */
  #detect(): void {
    const { random, calls } = this.#world;
    const race = this.#race;
    if (race === undefined) {
      if (this.#shadows.length === 0 || random.percent(95)) return;
      const shadow = random.pick(this.#shadows);
      this.#race = calls.loosely('new Race', [], () => new Race({ shadow }));
      calls.loosely('initialize', [1], () => this.#race?.initialize(1));
      return;
    }
    const [address, size] = someRange(random, HEAP, HEAP + AREA_BYTES, 8);
    const verb = random.pick(['writeRange', 'writeRange', 'malloc', 'free', 'release', 'mapShadow'] as const);
    const [at, length] = [address as number, size as number];
    calls.loosely(verb, [address, size], () => {
      if (verb === 'writeRange') race.writeRange(1, at, length, 0x40_0000);
      else if (verb === 'release') race.release(1, at);
      else race[verb](at, length);
    });
  }
}
