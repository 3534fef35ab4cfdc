import { createPeer } from './peer.ts'
import type { BenchSystem } from './system.ts'

/** Express, Sequelize and a row lock: the usual way to write such a service. */
export const rowLock: BenchSystem = createPeer({
  name: 'rowLock',
  title: 'row lock',
  folder: 'row-lock',
  processes: 1,
  poolSize: 10,
  tables: {
    insertEvents: `INSERT INTO events (event_id, total_tickets, available_tickets)
      SELECT id, $2::int, $2::int FROM generate_series(1, $1::int) AS id`,
    readEvents: `SELECT event_id, total_tickets, available_tickets,
      (SELECT count(*) FROM waiting_entries w WHERE w.event_id = e.event_id) AS waiting_count FROM events e`,
    readClaims: `SELECT event_id, user_id, 'booking' AS kind FROM bookings
      UNION ALL SELECT event_id, user_id, 'waiting' FROM waiting_entries`,
    // This schema keeps no promoted entries, so their order cannot be checked afterwards.
    readDisorder: 'SELECT 0 AS disorder',
  },
})

/** Fastify and one call of a database function: the fastest way without a queue. */
export const singleStatement: BenchSystem = createPeer({
  name: 'singleStatement',
  title: 'single statement',
  folder: 'single-statement',
  processes: 1,
  poolSize: 10,
  tables: {
    insertEvents: `INSERT INTO events (event_id, total_tickets, balance)
      SELECT id, $2::int, $2::int FROM generate_series(1, $1::int) AS id`,
    readEvents: `SELECT event_id, total_tickets, greatest(balance, 0) AS available_tickets,
      greatest(-balance, 0) AS waiting_count FROM events`,
    readClaims: `SELECT event_id, user_id, CASE WHEN waiting THEN 'waiting' ELSE 'booking' END AS kind FROM claims`,
    readDisorder: `WITH w AS MATERIALIZED (
        SELECT event_id, min(sequence) AS first FROM claims WHERE waiting GROUP BY 1
      )
      SELECT count(*)::int AS disorder FROM claims p JOIN w USING (event_id)
      WHERE p.promoted AND p.sequence > w.first`,
  },
})
