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
}

export interface EventRow {
  eventId: number
  totalTickets: number
  availableTickets: number
  waitingCount: number
}

export interface BookingRow {
  eventId: number
  sequence: number
  userId: string
  status: string
  promoted: boolean
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
}

const QUERIES: Record<keyof Rows, string> = {
  events: `SELECT event_id::float8 AS "eventId", total_tickets AS "totalTickets",
    available_tickets AS "availableTickets", waiting_count AS "waitingCount" FROM events ORDER BY event_id`,
  bookings: `SELECT event_id::float8 AS "eventId", sequence::float8, user_id AS "userId", status, promoted
    FROM bookings ORDER BY event_id, sequence`,
  entries: `SELECT event_id::float8 AS "eventId", sequence::float8, user_id AS "userId", status
    FROM waitlist_entries ORDER BY event_id, sequence`,
  claims: `SELECT event_id::float8 AS "eventId", user_id AS "userId", kind, sequence::float8 FROM claims`,
  blockCounts: `SELECT event_id::float8 AS "eventId", sum(waiting_count)::float8 AS waiting
    FROM waitlist_blocks GROUP BY event_id`,
  commands: `SELECT command_id AS "commandId", type, event_id::float8 AS "eventId", user_id AS "userId", caller,
    outcome, position, booking_sequence::float8 AS "bookingSequence", promoted_user_id AS "promotedUserId",
    replay_of AS "replayOf" FROM commands`,
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
