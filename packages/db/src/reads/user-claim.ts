import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import type { ClaimKind } from '../schema.js'
import { countWaitingUpTo } from './waitlist-position.js'

/** What a user has for an event. */
export type UserClaim =
  | { standing: 'booked'; position: null; bookingId: string }
  /** `position` is the 1-based live rank. */
  | { standing: 'waiting'; position: number; bookingId: null }
  | { standing: 'none'; position: null; bookingId: null }

interface ClaimRow {
  kind: ClaimKind | null
  sequence: string | null
  position: number | null
}

const CLAIM = `
  SELECT c.kind, c.sequence,
    CASE WHEN c.kind = 'waiting' THEN ${countWaitingUpTo('e.event_id', 'e.waitlist_head_sequence', 'c.sequence')} END AS position
  FROM events e LEFT JOIN claims c ON c.event_id = e.event_id AND c.user_id = $2
  WHERE e.event_id = $1`

/** Reads what a user has for an event; `undefined` if there is no such event. */
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
  const row = rows[0]
  if (row === undefined) return undefined
  if (row.kind === 'booking') {
    return {
      standing: 'booked',
      position: null,
      bookingId: bookingIdOf(eventId, Number(row.sequence)),
    }
  }
  if (row.kind === 'waiting')
    return { standing: 'waiting', position: row.position as number, bookingId: null }
  return { standing: 'none', position: null, bookingId: null }
}
