import { bookingIdOf, type SaleWindow, WAITLIST_BLOCK_SIZE } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { arrayOf } from '../line/array-literal.js'
import type { LiveKind } from '../schema.js'
import { msColumns, msOf, NOW_MS } from '../sql-times.js'
import type { UserClaim } from './user-claim.js'

/** What live updates need to know about an event. */
export interface LiveQuestion {
  eventId: number
  /** If this is still the event's last change, there is no answer. Null to get one in any case. */
  knownChange: number | null
  /** The users whose claims to read. */
  userIds: readonly string[]
}

/** An event and the claims of some users, read in one snapshot. */
export interface LiveState extends SaleWindow {
  /** The number of the event's last change. */
  lastChange: number
  /** PostgreSQL's clock, ms since 1970. */
  nowMs: number
  availableTickets: number
  heldTickets: number
  waitingListCount: number
  /** The claims of those users that have one. */
  claims: Map<string, UserClaim>
}

interface LiveRow {
  event_id: string
  last_change: string | null
  now_ms: number
  available_tickets: number
  held_count: number
  waiting_count: number
  canceled_at: number | null
  opens_at: number | null
  closes_at: number | null
  paused: boolean
  claims: WatchedClaim[] | null
}

type WatchedClaim = [
  /** Index of the user among all user ids of the statement, from 1. */
  user: number,
  kind: LiveKind,
  sequence: number,
  position: number | null,
  expiresAtMs: number | null,
  offered: boolean | null,
]

const BLOCK = WAITLIST_BLOCK_SIZE

// Positions cost one sum over the blocks of a list, and one scan of each block that has an entry of
// somebody who watches, however many people watch. Each LATERAL with a LIMIT is one index search.
// The statement has no name, so that PostgreSQL plans it for the number of events and users in it.
const LIVE_STATES = `
  WITH event AS MATERIALIZED (
    SELECT q.event_id, e.*
    FROM unnest($1::bigint[], $2::bigint[]) AS q (event_id, known_change)
    LEFT JOIN LATERAL (
      SELECT last_change, available_tickets, held_count, waiting_count, paused,
        ${msColumns('canceled_at', 'opens_at', 'closes_at')}, waitlist_head_sequence AS head
      FROM events WHERE event_id = q.event_id LIMIT 1
    ) AS e ON true
    WHERE q.known_change IS NULL OR e.last_change IS DISTINCT FROM q.known_change
  ),
  watched AS MATERIALIZED (
    SELECT q.nr, q.event_id, e.head, c.kind, c.sequence
    FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS q (event_id, user_id, nr)
    -- The claims of a canceled event end in portions. None of them counts any more.
    JOIN event e ON e.event_id = q.event_id AND e.canceled_at IS NULL
    CROSS JOIN LATERAL (
      SELECT kind, sequence FROM claims
      WHERE event_id = q.event_id AND user_id = q.user_id COLLATE "C" LIMIT 1
    ) AS c
    WHERE c.kind <> 'lapsed'
  ),
  block AS MATERIALIZED (
    SELECT event_id, head, sequence / ${BLOCK} AS block, max(sequence) AS last
    FROM watched WHERE kind = 'waiting' GROUP BY 1, 2, 3
  ),
  before AS MATERIALIZED (
    SELECT list.event_id, b.block,
      sum(b.waiting_count) OVER (PARTITION BY list.event_id ORDER BY b.block) - b.waiting_count AS waiting
    FROM (SELECT event_id, min(head) AS head, max(block) AS last FROM block GROUP BY 1) AS list
    CROSS JOIN LATERAL (
      SELECT block, waiting_count FROM waitlist_blocks
      WHERE event_id = list.event_id AND block >= list.head / ${BLOCK} AND block <= list.last OFFSET 0
    ) AS b
  ),
  rank AS MATERIALIZED (
    SELECT k.event_id, w.sequence, b.waiting + w.rank AS position
    FROM block k
    JOIN before b ON b.event_id = k.event_id AND b.block = k.block
    CROSS JOIN LATERAL (
      SELECT sequence, row_number() OVER (ORDER BY sequence) AS rank FROM waitlist_entries
      WHERE event_id = k.event_id AND sequence >= k.block * ${BLOCK} AND sequence <= k.last
        AND status = 'waiting'
    ) AS w
  ),
  claim AS MATERIALIZED (
    SELECT w.event_id, json_agg(json_build_array(
      w.nr, w.kind, w.sequence, r.position, ${msOf('h.expires_at')}, h.promoted)) AS claims
    FROM watched w
    LEFT JOIN rank r ON w.kind = 'waiting' AND r.event_id = w.event_id AND r.sequence = w.sequence
    LEFT JOIN LATERAL (
      SELECT expires_at, promoted FROM bookings
      WHERE w.kind = 'held' AND event_id = w.event_id AND sequence = w.sequence LIMIT 1
    ) AS h ON true
    GROUP BY w.event_id
  )
  SELECT e.event_id, e.last_change, e.available_tickets, e.paused,
    CASE WHEN e.canceled_at IS NULL THEN e.held_count ELSE 0 END AS held_count,
    CASE WHEN e.canceled_at IS NULL THEN e.waiting_count ELSE 0 END AS waiting_count,
    e.canceled_at, e.opens_at, e.closes_at, ${NOW_MS}, c.claims
  FROM event e LEFT JOIN claim c ON c.event_id = e.event_id`

/**
 * Reads what all streams of a process show, in one statement.
 *
 * @returns the state of each event that has changed; `undefined` for those that do not exist
 */
export async function readLiveStates(
  pool: Pool,
  questions: readonly LiveQuestion[],
): Promise<Map<number, LiveState | undefined>> {
  const userIds = questions.flatMap((question) => question.userIds)
  const { rows } = await pool.query<LiveRow>({
    text: LIVE_STATES,
    values: [
      arrayOf(questions.map(({ eventId }) => eventId)),
      arrayOf(questions.map(({ knownChange }) => knownChange)),
      arrayOf(questions.flatMap(({ eventId, userIds: { length } }) => Array(length).fill(eventId))),
      arrayOf(userIds),
    ],
  })
  return new Map(rows.map((row) => [Number(row.event_id), stateOf(row, userIds)]))
}

function stateOf(row: LiveRow, userIds: readonly string[]): LiveState | undefined {
  if (row.last_change === null) return undefined
  const eventId = Number(row.event_id)
  return {
    lastChange: Number(row.last_change),
    nowMs: row.now_ms,
    canceledAtMs: row.canceled_at,
    opensAtMs: row.opens_at,
    closesAtMs: row.closes_at,
    paused: row.paused,
    availableTickets: row.available_tickets,
    heldTickets: row.held_count,
    waitingListCount: row.waiting_count,
    claims: new Map(
      row.claims?.map((claim) => [userIds[claim[0] - 1] as string, claimOf(eventId, claim)]),
    ),
  }
}

function claimOf(
  eventId: number,
  [, kind, sequence, position, expiresAtMs, offered]: WatchedClaim,
): UserClaim {
  switch (kind) {
    case 'booking':
      return { standing: 'booked', bookingId: bookingIdOf(eventId, sequence) }
    case 'held':
      return {
        standing: 'held',
        bookingId: bookingIdOf(eventId, sequence),
        expiresAt: new Date(expiresAtMs as number),
        offered: offered as boolean,
      }
    case 'waiting':
      return { standing: 'waiting', position: position as number }
  }
}
