/**
 * A set of whole numbers as sorted, disjoint intervals: what the models keep of committed pages and mapped bytes.
 * Plain on purpose, and not the one it is compared with (native/range_set.cc).
 */

export type Interval = readonly [start: number, end: number];

export class IntervalSet {
  #intervals: Interval[] = [];

  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  get total(): number {
    return this.#intervals.reduce((sum, [start, end]) => sum + end - start, 0);
  }

  /** How much of [start, end) is in the set. */
  within(start: number, end: number): number {
    let sum = 0;
    for (const [from, to] of this.#intervals) sum += Math.max(0, Math.min(to, end) - Math.max(from, start));
    return sum;
  }

  add(start: number, end: number): void {
    let [from, to] = [start, end];
    const apart = this.#intervals.filter((interval) => {
      if (interval[1] < from || interval[0] > to) return true;
      from = Math.min(from, interval[0]);
      to = Math.max(to, interval[1]);
      return false;
    });
    this.#intervals = [...apart, [from, to] as const].sort((a, b) => a[0] - b[0]);
  }

  remove(start: number, end: number): void {
    this.#intervals = this.#intervals.flatMap(([from, to]): Interval[] => [
      ...(from < Math.min(to, start) ? [[from, Math.min(to, start)] as const] : []),
      ...(Math.max(from, end) < to ? [[Math.max(from, end), to] as const] : []),
    ]);
  }

  /** The union of the intervals, each turned into another. */
  mapped(turn: (interval: Interval) => Interval): IntervalSet {
    const turned = new IntervalSet();
    for (const interval of this.#intervals) turned.add(...turn(interval));
    return turned;
  }
}
