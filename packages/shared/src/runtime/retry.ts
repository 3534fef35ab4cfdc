/**
 * Runs `work` until it succeeds or `afterFailure` throws.
 *
 * @param work may run several times. It must be safe to repeat even if an earlier run took effect
 * @param afterFailure Called after each failure, with the number of failures so far. It pauses
 * before the next run, or throws what the caller gets.
 */
export async function withRetries<T>(
  work: () => Promise<T>,
  afterFailure: (error: unknown, attempt: number) => Promise<unknown>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      await afterFailure(error, attempt)
    }
  }
}

/** A pause that doubles with each failure in a row. */
export interface Backoff {
  /** Pause after the first failure, ms. */
  firstPauseMs: number
  longestPauseMs: number
}

/**
 * The pause before the next run, ms.
 *
 * @param attempt failures in a row, from 1
 */
export function backoffMs({ firstPauseMs, longestPauseMs }: Backoff, attempt: number): number {
  return Math.min(firstPauseMs * 2 ** Math.min(attempt - 1, 20), longestPauseMs)
}
