import { isRetryable } from './faults.js'

/**
 * Runs what a start needs of PostgreSQL until it passes, however long PostgreSQL is away: a service that is started
 * together with its database, or while that restarts, must not give up.
 *
 * @param work may be run several times
 * @param onWaiting told of each failed try
 * @throws what `work` throws and would throw again
 */
export async function whenReachable<T>(
  work: () => Promise<T>,
  onWaiting: (error: unknown) => void,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isRetryable(error)) throw error
      onWaiting(error)
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * attempt, 1000)))
    }
  }
}
