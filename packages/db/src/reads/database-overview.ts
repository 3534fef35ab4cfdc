import type { Pool } from 'pg'

/** What `ops status` shows about a database. */
export interface DatabaseOverview {
  /** The version of PostgreSQL. */
  version: string
  /** Null if they were not counted. */
  events: number | null
  /** Waiting-list entries of all events; null if they were not counted. */
  waiting: number | null
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
  if (!counts) return { version, events: null, waiting: null }
  const { rows } = await pool.query<{ events: string; waiting: string }>(
    'SELECT count(*) AS events, coalesce(sum(waiting_count), 0) AS waiting FROM events',
  )
  return { version, events: Number(rows[0]?.events), waiting: Number(rows[0]?.waiting) }
}
