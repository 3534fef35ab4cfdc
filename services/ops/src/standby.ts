import {
  checkSessions,
  createInstallationStore,
  type InstallationRecord,
  isConnectionFault,
  type Pool,
  sqlStateOf,
} from '@ticket-line/db'
import { ConfigError, errorSummary } from '@ticket-line/shared'
import type { Context } from './context.js'
import { Unreachable } from './failure.js'

/** A standby that the rows are read from. */
export interface Standby {
  pool: Pool
  /** How far it is behind the primary, ms; undefined if there is no primary to compare it with. */
  lagMs: number | undefined
}

/**
 * Opens the standby and measures how far it is behind. Every process of the installation renews the
 * time `redis_seen_at`. The standby is behind by about the difference between that of the primary
 * and its own.
 *
 * @returns undefined if `DATABASE_READ_URL` is not set
 * @throws ConfigError if it belongs to another database, or a pooler shares its sessions
 * @throws Unreachable if it cannot be reached, or is behind by more than `maxLagMs`
 */
export async function openStandby(
  context: Context,
  maxLagMs: number,
): Promise<Standby | undefined> {
  const pool = context.standbyPool()
  if (pool === undefined) return undefined
  await checkSessions(pool, 'DATABASE_READ_URL').catch((error: unknown) => {
    if (error instanceof ConfigError) throw error
    throw new Unreachable(`the standby of DATABASE_READ_URL: ${errorSummary(error)}`)
  })
  const primary = await readPrimary(context)
  if (primary === 'unknown') return { pool, lagMs: undefined }
  const copy = await createInstallationStore(pool).read()
  if (primary !== undefined && copy?.id !== primary.id) {
    throw new ConfigError(
      'DATABASE_READ_URL does not lead to a standby of DATABASE_URL: it has the rows of another installation',
    )
  }
  const lagMs = Math.max(0, (primary?.redisSeenAtMs ?? 0) - (copy?.redisSeenAtMs ?? 0))
  if (lagMs <= maxLagMs) return { pool, lagMs }
  throw new Unreachable(
    `the standby of DATABASE_READ_URL is ${Math.round(lagMs / 1000)} s behind DATABASE_URL, and --max-lag allows ${maxLagMs / 1000} s`,
  )
}

/**
 * Reads the installation from the primary.
 *
 * @returns undefined if no process has ever started; `unknown` if the primary is not configured or
 * cannot be reached
 */
async function readPrimary(context: Context): Promise<InstallationRecord | undefined | 'unknown'> {
  const store = context.installation()
  if (store === undefined) return 'unknown'
  try {
    return await store.read()
  } catch (error) {
    // An operator may check the rows of a standby because the primary is lost.
    if (isConnectionFault(error)) return 'unknown'
    throw error
  }
}

/** Says in one line which rows were checked, and how old they were. */
export function describeStandby({ lagMs }: Standby): string {
  return lagMs === undefined
    ? 'Checked on the standby of DATABASE_READ_URL. How far it is behind is unknown, because DATABASE_URL is not set or cannot be reached.'
    : `Checked on the standby of DATABASE_READ_URL, which was about ${Math.round(lagMs / 1000)} s behind.`
}

/** The SQLSTATE with which a standby cancels a statement that delays it. */
const CONFLICT_WITH_RECOVERY = '40001'

/** @returns the error of a statement on a standby, with the remedy if the standby canceled it */
export function explainCanceled(error: unknown): unknown {
  if (sqlStateOf(error) !== CONFLICT_WITH_RECOVERY) return error
  return new Unreachable(
    'the standby canceled a check, because it had to remove rows that the check still saw: set hot_standby_feedback = on there, or raise max_standby_streaming_delay',
  )
}
