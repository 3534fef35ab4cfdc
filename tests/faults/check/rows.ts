import type { LoggedChange, Outcome } from '@ticket-line/shared'
import pg from 'pg'

/** What PostgreSQL holds after a run, read with the checker's own statements. */
export interface Rows {
  events: EventRow[]
  bookings: BookingRow[]
  entries: EntryRow[]
  claims: ClaimRow[]
  /** Sum of the counters in `waitlist_blocks`. */
  blockCounts: { eventId: number; waiting: number }[]
  commands: CommandRow[]
  /** The change logs, in order of event and number. */
  changes: ChangeRow[]
  /** Jobs that are recorded as accepted. The records of decided jobs are removed after a while. */
  accepted: { jobId: string }[]
}

export type ChangeRow = LoggedChange

export interface EventRow {
  eventId: number
  /** Tickets in circulation. */
  totalTickets: number
  /** The size that the organizer wants. */
  capacity: number
  availableTickets: number
  heldCount: number
  waitingCount: number
  canceled: boolean
  /** True if a settle is still to come. */
  isDue: boolean
  /** The last number in its change log. */
  lastChange: number
}

export interface BookingRow {
  eventId: number
  sequence: number
  userId: string
  status: string
  promoted: boolean
  granted: boolean
  /** When it lapses, or would have lapsed, ms since 1970; null if it was never a hold. */
  expiresAtMs: number | null
  /** When it ended, ms since 1970; null if it is live. */
  endedAtMs: number | null
}

export interface EntryRow {
  eventId: number
  sequence: number
  userId: string
  status: string
}

export interface ClaimRow {
  eventId: number
  userId: string
  kind: string
  sequence: number
}

export interface CommandRow {
  commandId: string
  type: string
  eventId: number
  userId: string
  caller: string
  outcome: string
  position: number | null
  bookingSequence: number | null
  promotedUserId: string | null
  replayOf: string | null
  /** Further members of the outcome; null if it has none. */
  data: Pick<Outcome, 'expiresAtMs' | 'opensAtMs' | 'committed' | 'event'> | null
  /** By the clock of PostgreSQL, ms since 1970. All commands of a batch have the same time. */
  decidedAtMs: number
}

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`

const QUERIES: Record<keyof Rows, string> = {
  events: `SELECT event_id::float8 AS "eventId", total_tickets AS "totalTickets",
    coalesce(capacity, total_tickets) AS capacity, available_tickets AS "availableTickets",
    held_count AS "heldCount", waiting_count AS "waitingCount", canceled_at IS NOT NULL AS canceled,
    due_at IS NOT NULL AS "isDue", last_change::float8 AS "lastChange" FROM events ORDER BY event_id`,
  bookings: `SELECT event_id::float8 AS "eventId", sequence::float8, user_id AS "userId", status, promoted,
    granted, ${ms('expires_at')} AS "expiresAtMs", ${ms('canceled_at')} AS "endedAtMs"
    FROM bookings ORDER BY event_id, sequence`,
  entries: `SELECT event_id::float8 AS "eventId", sequence::float8, user_id AS "userId", status
    FROM waitlist_entries ORDER BY event_id, sequence`,
  claims: `SELECT event_id::float8 AS "eventId", user_id AS "userId", kind, sequence::float8 FROM claims`,
  blockCounts: `SELECT event_id::float8 AS "eventId", sum(waiting_count)::float8 AS waiting
    FROM waitlist_blocks GROUP BY event_id`,
  commands: `SELECT command_id AS "commandId", type, event_id::float8 AS "eventId", user_id AS "userId", caller,
    outcome, position, booking_sequence::float8 AS "bookingSequence", promoted_user_id AS "promotedUserId",
    replay_of AS "replayOf", data, ${ms('decided_at')} AS "decidedAtMs" FROM commands`,
  changes: `SELECT event_id::float8 AS "eventId", no::float8, type, ${ms('at')} AS "atMs", user_id AS "userId",
    sequence::float8, actor, command_id AS "commandId", data FROM changes ORDER BY event_id, no`,
  accepted: 'SELECT job_id AS "jobId" FROM accepted_jobs',
}

/** Reads everything in one snapshot. */
export async function readRows(databaseUrl: string): Promise<Rows> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    const rows: Partial<Record<keyof Rows, unknown[]>> = {}
    for (const [name, text] of Object.entries(QUERIES))
      rows[name as keyof Rows] = (await client.query(text)).rows
    return rows as unknown as Rows
  } finally {
    await client.end()
  }
}
