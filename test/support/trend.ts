/**
 * What a series of measurements says, outliers apart: its middle, and whether it stays level.
 */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[middle - 1] ?? 0, sorted[middle] ?? 0];
  return sorted.length % 2 === 0 ? (low + high) / 2 : high;
}

/**
 * How much a series grows from its first value to its last, by the median of the slopes between all pairs (Theil and
 * Sen): a few outliers, such as a collection that came late, do not move it.
 */
export function growthOf(series: readonly number[]): number {
  const slopes = series.flatMap((first, i) =>
    series.slice(i + 1).map((second, distance) => (second - first) / (distance + 1)),
  );
  return slopes.length === 0 ? 0 : median(slopes) * (series.length - 1);
}
