import type { Pool } from 'pg'
import { type CommitProgress, commitUnlessLate } from '../commit-unless-late.js'
import { dispatchChanges } from '../webhooks/dispatch.js'
import { OWNER_ROLE } from '../webhooks/endpoints.js'
import { isStaffSql } from './staff.js'

// After the deletion, no row shows who was staff of the event. So only webhooks of its staff keep a
// cursor.
const REMOVE_CURSORS_OF_OTHERS = `DELETE FROM webhook_cursors c USING events e, webhooks w
    LEFT JOIN users u ON u.user_id = w.owner
  WHERE c.event_id = $1 AND e.event_id = c.event_id AND w.webhook_id = c.webhook_id
    AND ${isStaffSql('e', 'w.owner', OWNER_ROLE)} IS NOT TRUE`

/**
 * Deletes an event if it never had a claim: each claim takes a number, so its last one is 0 then.
 *
 * Notifiers learn of changes from the rows of events. So the same transaction dispatches the last
 * changes of the event to the webhooks, which get them even if no notifier is running.
 */
export async function deleteEvent(
  pool: Pool,
  eventId: number,
  progress: CommitProgress,
): Promise<'deleted' | 'in_use' | 'not_found'> {
  return commitUnlessLate(pool, progress, async (client) => {
    // Until the end of the transaction, no further change is decided.
    const { rows } = await client.query<{ is_used: boolean }>(
      'SELECT last_sequence > 0 AS is_used FROM events WHERE event_id = $1 FOR UPDATE',
      [eventId],
    )
    const [event] = rows
    if (event === undefined) return 'not_found'
    if (event.is_used) return 'in_use'
    await dispatchChanges(client, [eventId])
    await client.query(REMOVE_CURSORS_OF_OTHERS, [eventId])
    await client.query('DELETE FROM events WHERE event_id = $1', [eventId])
    return 'deleted'
  })
}
