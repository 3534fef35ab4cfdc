import type { Pool } from 'pg'
import { type CommitProgress, commitUnlessLate } from './commit-unless-late.js'

/**
 * Deletes an event if it never had a claim: each claim takes a number, so its last one is 0 then.
 */
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
