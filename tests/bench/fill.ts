import type pg from 'pg'

/** An event that has claims at the start of a run. */
export interface FilledEvent {
  eventId: number
  /** Number of users `h0`, `h1`, … who have booked a ticket each, in order. */
  holders: number
  /** Number of free tickets. Default: none. */
  free?: number
  /** Number of users `w0`, `w1`, … who have then joined the waiting list, in order. */
  waiters: number
}

/** When the users booked. Their commands have been pruned since. */
const FILLED_AT = `date_trunc('milliseconds', now() - interval '3 days')`

/**
 * Fills the product's tables as if an event had been created, booked, and sold out if it has no
 * free ticket. Booking a million entries first would take minutes.
 */
export async function fillEvent(
  client: pg.ClientBase,
  { eventId, holders, free = 0, waiters }: FilledEvent,
): Promise<void> {
  const values = [eventId, holders, free, waiters]
  // PostgreSQL needs the type of each parameter, also of those that a statement does not use.
  const given = `given AS (SELECT $1::bigint AS event_id, $2::int AS holders, $3::int AS free, $4::int AS waiters,
    ${FILLED_AT} AS at, ($3::int = 0)::int AS sold_out)`
  const run = (text: string) => client.query(`WITH ${given} ${text}`, values)
  await client.query('BEGIN')
  await run(`INSERT INTO events (event_id, total_tickets, available_tickets, waiting_count, last_sequence,
      waitlist_head_sequence, last_change, created_at)
    SELECT event_id, holders + free, free, waiters, holders + waiters, holders + 1,
      1 + holders + sold_out + waiters, at FROM given`)
  await run(`INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
    SELECT event_id, n, 'h' || n - 1, 'confirmed', false, at FROM given, generate_series(1, holders) AS n`)
  await run(`INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since)
    SELECT event_id, holders + n, 'w' || n - 1, 'waiting', at FROM given, generate_series(1, waiters) AS n`)
  await run(`INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT event_id, 'h' || n - 1, 'booking', n FROM given, generate_series(1, holders) AS n
    UNION ALL
    SELECT event_id, 'w' || n - 1, 'waiting', holders + n FROM given, generate_series(1, waiters) AS n`)
  await run(`INSERT INTO waitlist_blocks (event_id, block, waiting_count)
    SELECT event_id, (holders + n) / 1024, count(*) FROM given, generate_series(1, waiters) AS n GROUP BY 1, 2 ORDER BY 2`)
  await run(`INSERT INTO changes (event_id, no, at, type, user_id, sequence, actor, command_id, data)
    SELECT event_id, 1, at, 'event.created', NULL, NULL::bigint, NULL, NULL,
      jsonb_build_object('settings', jsonb_build_object('totalTickets', holders + free)) FROM given
    UNION ALL
    SELECT event_id, 1 + n, at, 'booking.confirmed', 'h' || n - 1, n, 'h' || n - 1, 'filled.' || n, NULL
    FROM given, generate_series(1, holders) AS n
    UNION ALL
    SELECT event_id, 2 + holders, at, 'event.sold_out', NULL, NULL, 'h' || holders - 1, 'filled.' || holders, NULL
    FROM given WHERE sold_out = 1
    UNION ALL
    SELECT event_id, 1 + holders + sold_out + n, at, 'waitlist.joined', 'w' || n - 1, holders + n, 'w' || n - 1,
      'filled.' || holders + n, jsonb_build_object('position', n)
    FROM given, generate_series(1, waiters) AS n`)
  await client.query('COMMIT')
}

/**
 * Fills the product's tables with events of which some are over, paused or not open yet, and with
 * bookings of `users` users, of which a tenth have ended.
 */
export async function fillCatalog(
  client: pg.ClientBase,
  { events, bookings, users }: { events: number; bookings: number; users: number },
): Promise<void> {
  const run = (text: string, ...values: number[]) => client.query(text, values)
  const size = Math.ceil(bookings / events) + 100
  await client.query('BEGIN')
  await run(
    `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, last_sequence, name, name_key,
      starts_at, opens_at, closes_at, paused)
      SELECT n, $2::int, $2::int, 100, $2::int, 'Event ' || n, 'EVENT ' || n,
        CASE WHEN n % 10 > 0 THEN now() + (n % 700 - 350) * interval '1 day' END,
        CASE WHEN n % 20 = 0 THEN now() + interval '1 day' END,
        CASE WHEN n % 3 = 0 THEN now() - interval '1 day' END, n % 50 = 0
      FROM generate_series(1, $1::int) AS n`,
    events,
    size,
  )
  await run(
    `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, canceled_at)
      SELECT 1 + n % $2::int, 1 + n / $2::int, 'u' || n % $3::int,
        CASE WHEN n / $3::int % 10 = 0 THEN 'canceled' ELSE 'confirmed' END, false, now() - n * interval '1 second',
        CASE WHEN n / $3::int % 10 = 0 THEN now() - n * interval '1 second' END
      FROM generate_series(0, $1::int - 1) AS n`,
    bookings,
    events,
    users,
  )
  await client.query(`INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT event_id, user_id, 'booking', sequence FROM bookings WHERE status = 'confirmed' ON CONFLICT DO NOTHING`)
  await client.query('COMMIT')
  await client.query('VACUUM')
}
