import { backoffMs, ConfigError, errorSummary, sleep, withRetries } from '@ticket-line/shared'
import type pg from 'pg'
import { isRetryable, sqlStateOf } from './faults.js'
import { assertMigrated } from './migrations.js'
import { assertOwnSessions, assertUtf8 } from './server-checks.js'

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

/**
 * Checks at the start of a process that PostgreSQL is usable: its encoding is UTF8, each connection
 * has a session of its own, and all migrations are applied. Takes two connections of the pool.
 *
 * @throws ConfigError with one line for the operator; the driver's error if PostgreSQL does not
 * answer
 */
export async function checkDatabase(pool: pg.Pool, schema: string): Promise<void> {
  const one = await pool.connect()
  try {
    await assertUtf8(one)
    const two = await pool.connect()
    try {
      await assertOwnSessions(one, two)
    } finally {
      two.release()
    }
  } finally {
    one.release()
  }
  await assertMigrated(pool, schema)
}
