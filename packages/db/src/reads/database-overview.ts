import type { Pool } from 'pg'

/** A few numbers that describe a database. */
export interface DatabaseOverview {
  /** Version of the PostgreSQL server. */
  version: string
  /** Null if they were not counted. */
  events: number | null
  /** Waiting-list entries of all events; null if they were not counted. */
  waiting: number | null
}

/** @param options.counted false for a database without tables */
export async function readDatabaseOverview(
  pool: Pool,
  { counted }: { counted: boolean },
): Promise<DatabaseOverview> {
  const shown = await pool.query<{ server_version: string }>('SHOW server_version')
  const version = shown.rows[0]?.server_version ?? ''
  if (!counted) return { version, events: null, waiting: null }
  const { rows } = await pool.query<{ events: string; waiting: string }>(
    'SELECT count(*) AS events, coalesce(sum(waiting_count), 0) AS waiting FROM events',
  )
  return { version, events: Number(rows[0]?.events), waiting: Number(rows[0]?.waiting) }
}
