import { medianOf } from '../rounds.ts'

/** How two contenders compare over the rounds of a run. */
export interface MedianRatio {
  /** Median of the rounds' ratios. */
  median: number
  /**
   * Bounds of an interval that covers the true median with a probability of at least `COVERAGE`.
   */
  low: number
  high: number
}

const COVERAGE = 0.9

/**
 * Computes the median of paired ratios and its distribution-free interval: the k-th smallest and
 * the k-th largest ratio, with the largest k that still covers 90 %. A ratio is equally likely to
 * be above and below the true median, so the number of ratios below it is binomially distributed.
 * Nothing else is assumed about the noise.
 *
 * @param ratios one for each round
 */
export function medianRatio(ratios: number[]): MedianRatio {
  const sorted = [...ratios].sort((a, b) => a - b)
  const k = intervalRank(sorted.length)
  return {
    median: medianOf(sorted),
    low: sorted[k - 1] ?? Number.NaN,
    high: sorted[sorted.length - k] ?? Number.NaN,
  }
}

/** @returns the largest k whose interval of n values covers 90 %; 1 if none does */
function intervalRank(n: number): number {
  let outside = 0
  let probability = 0.5 ** n
  for (let k = 1; k <= n / 2; k++) {
    // Both tails: the interval misses the median if fewer than k ratios are on one side of it.
    outside += 2 * probability
    if (outside > 1 - COVERAGE) return Math.max(1, k - 1)
    probability = (probability * (n - k + 1)) / k
  }
  return Math.max(1, Math.floor(n / 2))
}
