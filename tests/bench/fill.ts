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
