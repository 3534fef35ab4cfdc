import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import type { ClaimKind } from '../schema.js'
import { countWaitingUpTo } from './waitlist-position.js'

/** What a user has for an event. */
export type UserClaim =
  | { standing: 'booked'; bookingId: string }
  | { standing: 'held'; bookingId: string; expiresAt: Date; offered: boolean }
  /** `position` is the 1-based live rank. */
  | { standing: 'waiting'; position: number }
  | { standing: 'none' }

interface ClaimRow {
  kind: ClaimKind | null
  sequence: string | null
  position: number | null
  expires_at: Date | null
  promoted: boolean | null
}

const CLAIM = `
  SELECT c.kind, c.sequence, b.expires_at, b.promoted,
    CASE WHEN c.kind = 'waiting' THEN ${countWaitingUpTo('e.event_id', 'e.waitlist_head_sequence', 'c.sequence')} END AS position
  FROM events e
  LEFT JOIN claims c ON c.event_id = e.event_id AND c.user_id = $2 AND e.canceled_at IS NULL
  LEFT JOIN LATERAL (
    SELECT expires_at, promoted FROM bookings
    WHERE c.kind = 'held' AND event_id = c.event_id AND sequence = c.sequence LIMIT 1
  ) AS b ON true
  WHERE e.event_id = $1`

/**
 * Reads what a user has for an event, which is nothing if the event is canceled.
 *
 * @returns undefined if there is no such event
 */
export async function readUserClaim(
  pool: Pool,
  eventId: number,
  userId: string,
): Promise<UserClaim | undefined> {
  const { rows } = await pool.query<ClaimRow>({
    name: 'reads_user_claim',
    text: CLAIM,
    values: [eventId, userId],
  })
  const [row] = rows
  if (row === undefined) return undefined
  switch (row.kind) {
    case 'booking':
      return { standing: 'booked', bookingId: bookingIdOf(eventId, Number(row.sequence)) }
    case 'held':
      return {
        standing: 'held',
        bookingId: bookingIdOf(eventId, Number(row.sequence)),
        expiresAt: row.expires_at as Date,
        offered: row.promoted as boolean,
      }
    case 'waiting':
      return { standing: 'waiting', position: row.position as number }
    case 'lapsed':
    case null:
      return { standing: 'none' }
  }
}
