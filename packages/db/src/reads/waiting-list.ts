import type { Pool } from 'pg'
import { type StreamOptions, streamRows } from './stream-rows.js'
import { countWaitingUpTo } from './waitlist-position.js'

/** A waiting-list entry that is waiting. */
export interface ListedWaiting {
  /** Its number in the order of decisions. The next page begins after it. */
  sequence: number
  userId: string
  /** 1-based live rank. */
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

// The search starts at the head, because a million entries before it may have left the list.
// MATERIALIZED makes PostgreSQL count the entries before the page only once.
const PAGE = `
  WITH e AS MATERIALIZED (
      -- A canceled event has no waiting list any more, although settles have yet to end it.
      SELECT waitlist_head_sequence AS head FROM events WHERE event_id = $1 AND canceled_at IS NULL
    ),
    before AS MATERIALIZED (SELECT ${countWaitingUpTo('$1', 'e.head', '$2::bigint')} AS waiting FROM e),
    page AS MATERIALIZED (
      SELECT sequence, user_id, since FROM waitlist_entries
      WHERE event_id = $1 AND EXISTS (SELECT FROM e)
        AND sequence > greatest($2::bigint, (SELECT head FROM e) - 1) AND status = 'waiting'
      ORDER BY sequence LIMIT $3
    )
  SELECT sequence, user_id, since,
    ((SELECT waiting FROM before) + row_number() OVER (ORDER BY sequence))::integer AS position
  FROM page ORDER BY sequence`

/** Reads up to `limit` entries in order, after `afterSequence`. */
export async function pageWaitingList(
  pool: Pool,
  eventId: number,
  afterSequence: number,
  limit: number,
): Promise<ListedWaiting[]> {
  const values = [eventId, afterSequence, limit]
  const { rows } = await pool.query<WaitingRow>({
    name: 'reads_waiting_list_page',
    text: PAGE,
    values,
  })
  return rows.map(toWaiting)
}

const ONE = `
  SELECT sequence, user_id, since,
    ${countWaitingUpTo('$1', '(SELECT waitlist_head_sequence FROM events WHERE event_id = $1)', 'entry.sequence')} AS position
  FROM waitlist_entries entry
  WHERE event_id = $1 AND status = 'waiting' AND (SELECT canceled_at IS NULL FROM events WHERE event_id = $1)
    AND sequence = (SELECT sequence FROM claims
                    WHERE event_id = $1 AND user_id = $2 AND kind = 'waiting')`

/**
 * Finds the waiting-list entry of a user for an event by the primary key of `claims`. The query has
 * no name and no join, like that of `findBooking`.
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
    AND sequence >= (SELECT waitlist_head_sequence FROM events WHERE event_id = $1 AND canceled_at IS NULL)
  ORDER BY sequence`

/** Reads all entries of an event that are waiting in one snapshot, in order and in portions. */
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
