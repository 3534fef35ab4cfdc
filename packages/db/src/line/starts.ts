import type pg from 'pg'

/**
 * Counts that a command of a crashed job is about to run alone. Committed before it runs: what kills its worker must
 * be found counted by the next one.
 * @returns how often it was started, this time included
 */
export async function countStart(pool: pg.Pool, commandId: string): Promise<number> {
  const { rows } = await pool.query<{ starts: number }>({
    name: 'starts_count',
    text: `INSERT INTO command_starts AS s (command_id, starts, last_start_at) VALUES ($1, 1, clock_timestamp())
      ON CONFLICT (command_id) DO UPDATE SET starts = s.starts + 1, last_start_at = excluded.last_start_at
      RETURNING starts`,
    values: [commandId],
  })
  return rows[0]?.starts ?? 1
}

/** How many starts of a command are counted at the moment. */
export async function readStarts(pool: pg.Pool, commandId: string): Promise<number> {
  const { rows } = await pool.query<{ starts: number }>({
    name: 'starts_read',
    text: 'SELECT starts FROM command_starts WHERE command_id = $1',
    values: [commandId],
  })
  return rows[0]?.starts ?? 0
}

/** Takes back one counted start of a command, because the worker that ran it is alive. */
export async function takeStartBack(pool: pg.Pool, commandId: string): Promise<void> {
  await pool.query({
    name: 'starts_take_back',
    text: 'UPDATE command_starts SET starts = starts - 1 WHERE command_id = $1 AND starts > 0',
    values: [commandId],
  })
}

/** Forgets the counts of a job that is done. */
export async function forgetStarts(pool: pg.Pool, jobId: string): Promise<void> {
  await pool.query({
    name: 'starts_forget',
    text: 'DELETE FROM command_starts WHERE command_id > $1 AND command_id < $2',
    values: [`${jobId}.`, `${jobId}/`],
  })
}
