/** Measures how soon settles enter their lines if many events come due in the same instant. */
import pg from 'pg'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Servers } from '../stack/servers.ts'
import { short } from './report/text.ts'
import { product } from './systems/product.ts'
import type { WorkloadSettings } from './workloads.ts'

const EVENTS = 10_000
const ROUNDS = 5
/** How long after the deadline a settle may enter its line, ms. */
const AIM_MS = 2000
/** How long before the deadline the events are ready, so that the processes are idle, ms. */
const READY_MS = 3000
const SETTLED_WITHIN_MS = 120_000

/** Times after the deadline, ms. */
interface Delays {
  enteredP50: number
  enteredP99: number
  enteredLast: number
  decidedLast: number
}

/** @returns whether the aim is reached in each round and everything is settled */
export async function measureDueEvents(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const deployment = await product.deploy({
    servers,
    ...(settings.productEnv && { env: settings.productEnv }),
  })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  // A failed query rejects its own promise.
  client.on('error', () => undefined)
  let last = 0
  try {
    await client.connect()
    for (let round = 1; round <= ROUNDS; round++) {
      const firstEventId = 1 + (round - 1) * EVENTS
      await fillDueEvents(client, firstEventId)
      const { enteredP50, enteredP99, enteredLast, decidedLast } = await delays(
        client,
        firstEventId,
      )
      last = Math.max(last, enteredLast)
      say(
        `  ${round} entered their lines after p50 ${short(enteredP50)}  p99 ${short(enteredP99)}  ` +
          `last ${short(enteredLast)} ms, decided after ${short(decidedLast)} ms`,
      )
    }
  } finally {
    await client.end()
    await deployment.stop()
  }
  const isReached = last <= AIM_MS
  say(
    `last settle of ${EVENTS} entered its line after ${short(last)} ms, aim ≤ ${AIM_MS} ms: ` +
      `${isReached ? 'reached' : 'NOT reached'}`,
  )
  return isReached
}

/** Fills events of one ticket, which is held. All holds lapse at the same time, in `READY_MS`. */
async function fillDueEvents(client: pg.Client, firstEventId: number): Promise<void> {
  await client.query('BEGIN')
  await client.query(
    `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, held_count, last_sequence,
      waitlist_head_sequence, hold_seconds, due_at)
    SELECT $1::bigint + n, 1, 1, 0, 1, 1, 2, 60, 'infinity' FROM generate_series(0, $2::int - 1) AS n`,
    [firstEventId, EVENTS],
  )
  await client.query(
    `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, held_at, hold_seconds, expires_at)
    SELECT event_id, 1, 'u', 'held', false, now(), now(), 60, now() FROM events WHERE event_id >= $1`,
    [firstEventId],
  )
  await client.query(
    `INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT event_id, 'u', 'held', 1 FROM events WHERE event_id >= $1`,
    [firstEventId],
  )
  await client.query('COMMIT')
  await client.query('ANALYZE')
  await client.query('CHECKPOINT')
  await client.query(
    `WITH deadline AS MATERIALIZED (
      SELECT date_trunc('milliseconds', clock_timestamp()) + $2::int * interval '1 ms' AS at
    ), holds AS (
      UPDATE bookings SET expires_at = at FROM deadline WHERE event_id >= $1
    ) UPDATE events SET due_at = at FROM deadline WHERE event_id >= $1`,
    [firstEventId, READY_MS],
  )
}

async function delays(client: pg.Client, firstEventId: number): Promise<Delays> {
  const isSettled = async () =>
    (
      await client.query('SELECT FROM events WHERE event_id >= $1 AND due_at IS NOT NULL LIMIT 1', [
        firstEventId,
      ])
    ).rowCount === 0
  if (!(await until(isSettled, { timeoutMs: SETTLED_WITHIN_MS, everyMs: 500 })))
    throw new Error('something is still due')
  const { rows } = await client.query(
    `SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY entered)::float8 AS "enteredP50",
      percentile_disc(0.99) WITHIN GROUP (ORDER BY entered)::float8 AS "enteredP99",
      max(entered)::float8 AS "enteredLast", max(decided)::float8 AS "decidedLast",
      count(*)::int AS settled, sum(settles)::int AS settles
    FROM (
      SELECT event_id, count(*) AS settles, min(extract(epoch FROM accepted_at - b.expires_at) * 1000) AS entered,
        min(extract(epoch FROM decided_at - b.expires_at) * 1000) AS decided
      FROM commands c JOIN bookings b USING (event_id) WHERE event_id >= $1 GROUP BY event_id
    ) AS settles`,
    [firstEventId],
  )
  if (rows[0].settled !== EVENTS) throw new Error(`${rows[0].settled} events have a settle`)
  return rows[0]
}
