import type { Pool } from 'pg'
import { type StreamOptions, streamRows } from './stream-rows.js'
import { waitingUpTo } from './waitlist-rank.js'

/** Somebody who waits now. */
export interface ListedWaiting {
  /** Stored place, the key of the next page. */
  sequence: number
  userId: string
  /** Live rank, 1 = next. */
  position: number
  since: Date
}

interface WaitingRow {
  sequence: string
  user_id: string
  position: number
  since: Date
}

function toWaiting(row: WaitingRow): ListedWaiting {
  return { sequence: Number(row.sequence), userId: row.user_id, position: row.position, since: row.since }
}

// The head bounds the search below: entries before it are dead, and there may be a million of them.
const PAGE = `
  SELECT w.sequence, w.user_id, w.since,
    (before.waiting + row_number() OVER (ORDER BY w.sequence))::integer AS position
  FROM events e
  CROSS JOIN LATERAL (SELECT ${waitingUpTo('e.waitlist_head_sequence', '$2::bigint')} AS waiting) before
  CROSS JOIN LATERAL (
    SELECT sequence, user_id, since FROM waitlist_entries
    WHERE event_id = $1 AND sequence > greatest($2::bigint, e.waitlist_head_sequence - 1) AND status = 'waiting'
    ORDER BY sequence LIMIT $3
  ) w
  WHERE e.event_id = $1
  ORDER BY w.sequence`

/** At most `limit` of those who wait, in order, from the one after `afterSequence`, as of one moment. */
export async function pageWaitingList(
  pool: Pool,
  eventId: number,
  afterSequence: number,
  limit: number,
): Promise<ListedWaiting[]> {
  const values = [eventId, afterSequence, limit]
  const { rows } = await pool.query<WaitingRow>({ name: 'waiting-list-page', text: PAGE, values })
  return rows.map(toWaiting)
}

const ALL = `
  SELECT sequence, user_id, since, (row_number() OVER (ORDER BY sequence))::integer AS position
  FROM waitlist_entries
  WHERE event_id = $1 AND status = 'waiting'
    AND sequence >= (SELECT waitlist_head_sequence FROM events WHERE event_id = $1)
  ORDER BY sequence`

/** Everybody who waits as of one moment, in order, in portions. */
export async function* streamWaitingList(
  pool: Pool,
  eventId: number,
  options: StreamOptions,
): AsyncGenerator<ListedWaiting[]> {
  for await (const rows of streamRows<WaitingRow>(pool, { text: ALL, values: [eventId] }, options)) {
    yield rows.map(toWaiting)
  }
}
