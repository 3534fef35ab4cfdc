import { backoffMs, ConfigError, errorSummary, sleep, withRetries } from '@ticket-line/shared'
import { isRetryable, sqlStateOf } from './faults.js'

/**
 * PgBouncer reports most of its errors with this code. Only the message says which of them are
 * lasting.
 */
const PROTOCOL_VIOLATION = '08P01'
const REFUSED_FOR_GOOD = /unsupported startup parameter/

/** Nobody waits for an answer, and each failure is logged, so the pause grows to a second. */
const PAUSE = { firstPauseMs: 100, longestPauseMs: 1000 }

/**
 * Runs a step of a start that needs PostgreSQL until it succeeds, however long PostgreSQL is away.
 * A service that is started together with its database, or while the database restarts, must not
 * give up.
 *
 * @param work may be run several times
 * @param onWaiting called after each failed try
 * @throws what `work` throws, if another try would fail again
 */
export async function whenReachable<T>(
  work: () => Promise<T>,
  onWaiting: (error: unknown) => void,
): Promise<T> {
  return withRetries(work, async (error, attempt) => {
    if (!isRetryable(error)) throw error
    if (sqlStateOf(error) === PROTOCOL_VIOLATION && REFUSED_FOR_GOOD.test(errorSummary(error))) {
      throw new ConfigError(
        `the connection pooler refuses an option of DATABASE_URL or PGOPTIONS: ${errorSummary(error)}`,
      )
    }
    onWaiting(error)
    await sleep(backoffMs(PAUSE, attempt))
  })
}
