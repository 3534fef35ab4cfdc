/** Latencies of one window. */
export interface Tally {
  add(latencyMs: number): void
  count(): number
  /** @param share 0.99 for p99; NaN where nothing was counted */
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
      // Nearest rank: the smallest value that at least this share does not exceed.
      return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
    },
  }
}
