import { backoffMs, ConfigError, errorSummary, sleep, withRetries } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { isRetryable, sqlStateOf } from './faults.js'
import { assertMigrated } from './migrations.js'
import { assertOwnSessions, assertUtf8 } from './server-checks.js'

/**
 * PgBouncer reports most of its errors with this SQLSTATE. Only the message shows which of them are
 * permanent.
 */
const PROTOCOL_VIOLATION = '08P01'
const REFUSED_FOR_GOOD = /unsupported startup parameter/

/** Each failure is logged, so the pause is longer than that of other retries. */
const PAUSE = { firstPauseMs: 100, longestPauseMs: 1000 }

/**
 * Runs a step of the start that needs PostgreSQL until it succeeds, however long PostgreSQL is
 * unreachable. A service may start together with its database, or while the database restarts.
 *
 * @param work may run several times
 * @param onWaiting Called after each failure that will be retried.
 * @throws what `work` throws, if a retry would fail again
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

/**
 * Checks that PostgreSQL is usable: the encoding is UTF8, each connection has a session of its own,
 * and all migrations are applied. It uses two connections of the pool.
 *
 * @throws ConfigError with one line for the operator; the driver's error if PostgreSQL does not
 * answer
 */
export async function checkDatabase(pool: Pool, schema: string): Promise<void> {
  await checkSessions(pool)
  await assertMigrated(pool, schema)
}

/**
 * Checks that the encoding is UTF8 and each connection has a session of its own. It uses two
 * connections of the pool.
 *
 * @param variable the name of the setting that has the address, for messages
 * @throws like {@link checkDatabase}
 */
export async function checkSessions(pool: Pool, variable?: string): Promise<void> {
  const one = await pool.connect()
  try {
    await assertUtf8(one)
    const two = await pool.connect()
    try {
      await assertOwnSessions(one, two, variable)
    } finally {
      two.release()
    }
  } finally {
    one.release()
  }
}
