/** Collects latencies and computes their percentiles. */
export interface Tally {
  add(latencyMs: number): void
  count(): number
  /**
   * @param share 0.99 for the 99th percentile
   * @returns NaN if nothing was added
   */
  percentile(share: number): number
}

export function createTally(): Tally {
  const values: number[] = []
  let sorted: Float64Array | undefined
  return {
    add(latencyMs) {
      values.push(latencyMs)
      sorted = undefined
    },
    count: () => values.length,
    percentile(share) {
      sorted ??= Float64Array.from(values).sort()
      // Nearest rank: the smallest value that is not below this share of all values.
      return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
    },
  }
}
