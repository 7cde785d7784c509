/**
 * A happens-before race checker that is plain enough to be obviously right, and slow.
 *
 * Clocks are Maps from goroutine to epoch, as the table of the race runtime's calls has them; every access to every byte is
 * kept for ever and compared with every later one.
 */

type Clock = Map<number, number>;

interface Access {
  readonly goroutine: number;
  readonly epoch: number;
  readonly write: boolean;
  readonly atomic: boolean;
}

function joinInto(clock: Clock, other: Clock): void {
  for (const [goroutine, epoch] of other) clock.set(goroutine, Math.max(clock.get(goroutine) ?? 0, epoch));
}

export type Step =
  | { readonly op: 'map' | 'malloc' | 'free'; readonly address: number; readonly size: number }
  | { readonly op: 'start'; readonly goroutine: number; readonly child: number }
  | { readonly op: 'end' | 'fingo' | 'ignoreBegin' | 'ignoreEnd'; readonly goroutine: number }
  | {
      readonly op: 'acquire' | 'release' | 'releaseMerge' | 'releaseAcquire';
      readonly goroutine: number;
      readonly address: number;
    }
  | {
      readonly op: 'read' | 'write' | 'load' | 'store' | 'update' | 'failedSwap';
      readonly goroutine: number;
      readonly address: number;
      readonly size: number;
    };

export class PlainChecker {
  readonly racy = new Set<number>();
  readonly #clocks = new Map<number, Clock>();
  readonly #objects = new Map<number, Clock>();
  readonly #ignoring = new Map<number, number>();
  readonly #accesses = new Map<number, Access[]>();
  readonly #mapped: { start: number; end: number }[] = [];

  constructor(main: number) {
    this.#clocks.set(main, new Map([[main, 1]]));
  }

  racyAddresses(): number[] {
    return [...this.racy].sort((a, b) => a - b);
  }

  step(step: Step): void {
    switch (step.op) {
      case 'map':
        this.#mapped.push({ start: step.address, end: step.address + step.size });
        break;
      case 'malloc':
        for (let byte = 0; byte < step.size; byte++) this.#accesses.delete(step.address + byte);
        break;
      case 'free':
        for (let byte = 0; byte < step.size; byte++) this.#objects.delete(step.address + byte);
        break;
      case 'start': {
        const parent = this.#clocks.get(step.goroutine);
        const clock: Clock = new Map(parent);
        if (parent !== undefined) this.#tick(step.goroutine);
        clock.set(step.child, 1);
        this.#clocks.set(step.child, clock);
        break;
      }
      case 'end':
        break;
      case 'fingo':
        for (const clock of this.#clocks.values()) joinInto(this.#clock(step.goroutine), clock);
        break;
      case 'ignoreBegin':
        this.#ignoring.set(step.goroutine, (this.#ignoring.get(step.goroutine) ?? 0) + 1);
        break;
      case 'ignoreEnd':
        this.#ignoring.set(step.goroutine, (this.#ignoring.get(step.goroutine) ?? 0) - 1);
        break;
      case 'acquire':
        if (!this.#ignores(step.goroutine)) this.#acquire(step.goroutine, step.address);
        break;
      case 'release':
        if (!this.#ignores(step.goroutine)) this.#release(step.goroutine, step.address);
        break;
      case 'releaseMerge':
        if (!this.#ignores(step.goroutine)) this.#releaseMerge(step.goroutine, step.address);
        break;
      case 'releaseAcquire': {
        if (this.#ignores(step.goroutine)) break;
        const old: Clock = new Map(this.#objects.get(step.address));
        this.#release(step.goroutine, step.address);
        joinInto(this.#clock(step.goroutine), old);
        break;
      }
      case 'read':
      case 'write':
        this.#access(step.goroutine, step.address, step.size, step.op === 'write', false);
        break;
      default:
        if (!this.#ignores(step.goroutine)) this.#atomic(step.op, step.goroutine, step.address, step.size);
    }
  }

  #atomic(
    op: 'load' | 'store' | 'update' | 'failedSwap',
    goroutine: number,
    address: number,
    size: number,
  ): void {
    if (op === 'load') this.#acquire(goroutine, address);
    this.#access(goroutine, address, size, op !== 'load', true);
    if (op === 'update' || op === 'failedSwap') this.#acquire(goroutine, address);
    if (op === 'store') this.#release(goroutine, address);
    if (op === 'update') this.#releaseMerge(goroutine, address);
  }

  #acquire(goroutine: number, address: number): void {
    joinInto(this.#clock(goroutine), this.#objects.get(address) ?? new Map());
  }

  #release(goroutine: number, address: number): void {
    this.#objects.set(address, new Map(this.#clock(goroutine)));
    this.#tick(goroutine);
  }

  #releaseMerge(goroutine: number, address: number): void {
    const object: Clock = this.#objects.get(address) ?? new Map();
    joinInto(object, this.#clock(goroutine));
    this.#objects.set(address, object);
    this.#tick(goroutine);
  }

  #access(goroutine: number, address: number, size: number, write: boolean, atomic: boolean): void {
    const clock = this.#clock(goroutine);
    const access = { goroutine, epoch: clock.get(goroutine) ?? 0, write, atomic };
    for (let byte = address; byte < address + size; byte++) {
      if (!this.#mapped.some(({ start, end }) => byte >= start && byte < end)) continue;
      const earlier = this.#accesses.get(byte) ?? [];
      for (const other of earlier) {
        if (other.goroutine === goroutine || !(other.write || write) || (other.atomic && atomic)) continue;
        if (other.epoch > (clock.get(other.goroutine) ?? 0)) this.racy.add(byte);
      }
      earlier.push(access);
      this.#accesses.set(byte, earlier);
    }
  }

  #ignores(goroutine: number): boolean {
    return (this.#ignoring.get(goroutine) ?? 0) > 0;
  }

  #clock(goroutine: number): Clock {
    const clock = this.#clocks.get(goroutine);
    if (clock === undefined) throw new Error(`goroutine ${goroutine} was never started`);
    return clock;
  }

  #tick(goroutine: number): void {
    const clock = this.#clock(goroutine);
    clock.set(goroutine, (clock.get(goroutine) ?? 0) + 1);
  }
}
