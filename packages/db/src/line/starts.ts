import type { Pool } from 'pg'

// After a worker crashed, another worker runs the commands of its job one at a time. It counts each
// start before it runs the command. If it survives but does not decide the command, it takes the
// count back. A command with a high count is therefore one that kills its workers.

/**
 * Counts a start of a command.
 *
 * @returns the number of counted starts, including this one
 */
export async function countStart(pool: Pool, commandId: string): Promise<number> {
  const { rows } = await pool.query<{ starts: number }>({
    name: 'starts_count',
    text: `INSERT INTO command_starts AS s (command_id, starts, last_start_at) VALUES ($1, 1, clock_timestamp())
      ON CONFLICT (command_id) DO UPDATE SET starts = s.starts + 1, last_start_at = excluded.last_start_at
      RETURNING starts`,
    values: [commandId],
  })
  return rows[0]?.starts ?? 1
}

/** Returns the number of counted starts of a command. */
export async function readStarts(pool: Pool, commandId: string): Promise<number> {
  const { rows } = await pool.query<{ starts: number }>({
    name: 'starts_read',
    text: 'SELECT starts FROM command_starts WHERE command_id = $1',
    values: [commandId],
  })
  return rows[0]?.starts ?? 0
}

/**
 * Takes back one counted start of a command. Called by the worker that ran the command and
 * survived.
 */
export async function takeStartBack(pool: Pool, commandId: string): Promise<void> {
  await pool.query({
    name: 'starts_take_back',
    text: 'UPDATE command_starts SET starts = starts - 1 WHERE command_id = $1 AND starts > 0',
    values: [commandId],
  })
}

/** Forgets the counts of a job whose commands are decided. */
export async function forgetStarts(pool: Pool, jobId: string): Promise<void> {
  await pool.query({
    name: 'starts_forget',
    // The id of a command is the job's id, a dot and an index. "/" is the character after the dot.
    text: 'DELETE FROM command_starts WHERE command_id > $1 AND command_id < $2',
    values: [`${jobId}.`, `${jobId}/`],
  })
}
