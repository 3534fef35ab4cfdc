import type pg from 'pg'

/**
 * Fills the product's tables as if users h0, h1, … had booked event 1 and users w0, w1, … had then
 * joined its waiting list. Booking a million entries first would take minutes.
 */
export async function fillEvent(
  client: pg.ClientBase,
  holders: number,
  waiters: number,
): Promise<void> {
  const run = (text: string, ...values: number[]) => client.query(text, values)
  await client.query('BEGIN')
  await run(
    `INSERT INTO events (event_id, total_tickets, available_tickets, waiting_count, last_sequence,
      waitlist_head_sequence) VALUES (1, $1::int, 0, $2::int, $1::int + $2::int, $1::int + 1)`,
    holders,
    waiters,
  )
  await run(
    `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
      SELECT 1, n, 'h' || n - 1, 'confirmed', false, now() FROM generate_series(1, $1::int) AS n`,
    holders,
  )
  await run(
    `INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since)
      SELECT 1, $1::int + n, 'w' || n - 1, 'waiting', now() FROM generate_series(1, $2::int) AS n`,
    holders,
    waiters,
  )
  await client.query(`INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT event_id, user_id, 'booking', sequence FROM bookings
    UNION ALL SELECT event_id, user_id, 'waiting', sequence FROM waitlist_entries`)
  await client.query(`INSERT INTO waitlist_blocks (event_id, block, waiting_count)
    SELECT event_id, sequence / 1024, count(*) FROM waitlist_entries GROUP BY 1, 2`)
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
