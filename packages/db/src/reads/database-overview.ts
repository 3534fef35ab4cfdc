import type { Pool } from 'pg'

/** What `ops status` shows about a database. */
export interface DatabaseOverview {
  /** The version of PostgreSQL. */
  version: string
  /** Null if they were not counted. */
  events: number | null
  /** Waiting-list entries of all events; null if they were not counted. */
  waiting: number | null
  /** Webhooks that are not disabled; null if they were not counted. */
  enabledWebhooks: number | null
}

/**
 * Reads what `ops status` shows about a database.
 *
 * @param options.counts false to count nothing, for a database that may have no tables
 */
export async function readDatabaseOverview(
  pool: Pool,
  { counts }: { counts: boolean },
): Promise<DatabaseOverview> {
  const shown = await pool.query<{ server_version: string }>('SHOW server_version')
  const version = shown.rows[0]?.server_version ?? ''
  if (!counts) return { version, events: null, waiting: null, enabledWebhooks: null }
  const { rows } = await pool.query<{ events: string; waiting: string; enabled_webhooks: string }>(
    `SELECT count(*) AS events, coalesce(sum(waiting_count), 0) AS waiting,
       (SELECT count(*) FROM webhooks WHERE disabled_at IS NULL) AS enabled_webhooks
     FROM events`,
  )
  const [row] = rows
  return {
    version,
    events: Number(row?.events),
    waiting: Number(row?.waiting),
    enabledWebhooks: Number(row?.enabled_webhooks),
  }
}
