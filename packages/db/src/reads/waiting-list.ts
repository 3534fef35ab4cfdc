import type { Pool } from 'pg'
import { type StreamOptions, streamRows } from './stream-rows.js'
import { countWaitingUpTo } from './waitlist-position.js'

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
  return {
    sequence: Number(row.sequence),
    userId: row.user_id,
    position: row.position,
    since: row.since,
  }
}

// The head bounds the search: entries before it are dead, and there may be a million of them. What comes before the
// page is counted once, which PostgreSQL does only where it is told to materialize it.
const PAGE = `
  WITH e AS MATERIALIZED (SELECT waitlist_head_sequence AS head FROM events WHERE event_id = $1),
    before AS MATERIALIZED (SELECT ${countWaitingUpTo('$1', 'e.head', '$2::bigint')} AS waiting FROM e),
    page AS MATERIALIZED (
      SELECT sequence, user_id, since FROM waitlist_entries
      WHERE event_id = $1 AND sequence > greatest($2::bigint, (SELECT head FROM e) - 1) AND status = 'waiting'
      ORDER BY sequence LIMIT $3
    )
  SELECT sequence, user_id, since,
    ((SELECT waiting FROM before) + row_number() OVER (ORDER BY sequence))::integer AS position
  FROM page ORDER BY sequence`

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

const ONE = `
  SELECT sequence, user_id, since,
    ${countWaitingUpTo('$1', '(SELECT waitlist_head_sequence FROM events WHERE event_id = $1)', 'entry.sequence')} AS position
  FROM waitlist_entries entry
  WHERE event_id = $1 AND status = 'waiting'
    AND sequence = (SELECT sequence FROM claims
                    WHERE event_id = $1 AND user_id = $2 AND kind = 'waiting')`

/**
 * The waiting-list entry that a user has for the event, found by the primary key of `claims`.
 * Without a name or a join, like `findBooking`.
 */
export async function findWaitingEntry(
  pool: Pool,
  eventId: number,
  userId: string,
): Promise<ListedWaiting | undefined> {
  const { rows } = await pool.query<WaitingRow>({ text: ONE, values: [eventId, userId] })
  return rows[0] && toWaiting(rows[0])
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
  for await (const rows of streamRows<WaitingRow>(
    pool,
    { text: ALL, values: [eventId] },
    options,
  )) {
    yield rows.map(toWaiting)
  }
}
