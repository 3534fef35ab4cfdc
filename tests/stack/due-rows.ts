import type pg from 'pg'

/** An event whose tickets are all held, and what becomes due in it. */
export interface HeldEvent {
  eventId: number
  /** Number of tickets. Users `h0`, `h1`, … hold one each, in order. */
  held: number
  /** Number of users `w0`, `w1`, … on the waiting list, in order. Default: none. */
  waiting?: number
  /** How long it is until all holds lapse, ms. Negative: they are overdue. */
  expiresInMs: number
  /** Length of the offers that promoted people get. Default: as long as the holds, one hour. */
  offerSeconds?: number
  /** Tickets that are withheld for the waiting list, and due at once. Default: none. */
  withheld?: number
}

/** Fills the tables as if the users had held the tickets and joined the list a moment ago. */
export async function fillHeldEvent(
  client: Pick<pg.ClientBase, 'query'>,
  { eventId, held, waiting = 0, expiresInMs, offerSeconds, withheld = 0 }: HeldEvent,
): Promise<void> {
  await client.query(
    `WITH times AS MATERIALIZED (
      SELECT clock_timestamp() AS now, clock_timestamp() + $4::float8 * interval '1 ms' AS expires_at
    ), event AS (
      INSERT INTO events (event_id, capacity, total_tickets, available_tickets, held_count, waiting_count,
        last_sequence, waitlist_head_sequence, hold_seconds, offer_seconds, due_at)
      SELECT $1::bigint, $2::int + $6::int, $2::int, 0, $2::int, $3::int, $2::int + $3::int, $2::int + 1, 3600, $5::int,
        CASE WHEN $6::int > 0 THEN now WHEN $2::int > 0 THEN expires_at END
      FROM times
    ), holds AS (
      INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, held_at, hold_seconds, expires_at)
      SELECT $1::bigint, n, 'h' || n - 1, 'held', false, now, now, 3600, expires_at
      FROM times, generate_series(1, $2::int) AS n
    ), entries AS (
      INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since)
      SELECT $1::bigint, $2::int + n, 'w' || n - 1, 'waiting', now FROM times, generate_series(1, $3::int) AS n
    ), blocks AS (
      INSERT INTO waitlist_blocks (event_id, block, waiting_count)
      SELECT $1::bigint, ($2::int + n) / 1024, count(*) FROM generate_series(1, $3::int) AS n GROUP BY 2
    )
    INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT $1::bigint, 'h' || n - 1, 'held', n FROM generate_series(1, $2::int) AS n
    UNION ALL SELECT $1::bigint, 'w' || n - 1, 'waiting', $2::int + n FROM generate_series(1, $3::int) AS n`,
    [eventId, held, waiting, expiresInMs, offerSeconds ?? null, withheld],
  )
}
