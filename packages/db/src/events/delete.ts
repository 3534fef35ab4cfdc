import type { Pool } from 'pg'
import { type CommitProgress, commitUnlessLate } from './commit-unless-late.js'

/** Deletes an event that never had a claim. Each claim gets a number, so its last number is 0. */
export async function deleteEvent(
  pool: Pool,
  eventId: number,
  progress: CommitProgress,
): Promise<'deleted' | 'in_use' | 'not_found'> {
  return commitUnlessLate(pool, progress, async (client) => {
    const { rowCount } = await client.query(
      'DELETE FROM events WHERE event_id = $1 AND last_sequence = 0',
      [eventId],
    )
    if (rowCount === 1) return 'deleted'
    const found = await client.query('SELECT FROM events WHERE event_id = $1', [eventId])
    return found.rowCount === 1 ? 'in_use' : 'not_found'
  })
}
