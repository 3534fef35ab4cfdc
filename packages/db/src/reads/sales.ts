import type { EventDetails, SaleWindow } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { HAS_DEFAULT_RULES } from '../events/setting-columns.js'
import { msColumns, msOf } from '../sql-times.js'

/** What a request asks before its command enters the line. */
export interface SaleQuestion {
  eventId: number
  /** The user whose claim matters; absent if none does. */
  userId?: string
  /** The idempotency key of the request; absent if it has none or the answer needs none. */
  key?: { caller: string; keyHash: string }
}

/** The sale of an event, the user's claim and the use of the key, read in one snapshot. */
export interface Sale extends SaleWindow {
  /** PostgreSQL's clock, ms since 1970. */
  nowMs: number
  /** True if the event was never changed and its sale has no settings other than the defaults. */
  isPlain: boolean
  confirmation: EventDetails['confirmation']
  /** True if the user has a booking, a hold or a waiting-list entry. */
  hasClaim: boolean
  /** True if the caller has used the idempotency key before. */
  hasKey: boolean
}

interface SaleRow {
  now_ms: number
  is_plain: boolean
  confirmation: Sale['confirmation']
  canceled_at: number | null
  opens_at: number | null
  closes_at: number | null
  paused: boolean
  has_claim: boolean
  has_key: boolean
}

// All answers of a statement have one snapshot and one reading of the clock.
const NOW = `${msOf('statement_timestamp()')} AS now_ms`
const IS_PLAIN = `version = 1 AND canceled_at IS NULL AND held_count = 0 AND ${HAS_DEFAULT_RULES}
    AND coalesce(capacity, total_tickets) = total_tickets`
const EVENT_COLUMNS = `
  ${IS_PLAIN} AS is_plain,
  confirmation, ${msColumns('canceled_at', 'opens_at', 'closes_at')}, paused`

// Each subquery is a LATERAL with a LIMIT, so that PostgreSQL makes one index search for each
// question. The statement has no name, so that PostgreSQL plans it for the present size of the
// tables.
const SALES = `
  SELECT q.question, ${NOW}, e.*, c.kind IS NOT NULL AS has_claim, k.command_id IS NOT NULL AS has_key
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
    WITH ORDINALITY AS q (event_id, user_id, caller, key_hash, question)
  CROSS JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM events WHERE event_id = q.event_id LIMIT 1
  ) AS e
  LEFT JOIN LATERAL (
    SELECT kind FROM claims WHERE event_id = q.event_id AND user_id = q.user_id COLLATE "C"
    LIMIT 1
  ) AS c ON c.kind <> 'lapsed'
  LEFT JOIN LATERAL (
    SELECT command_id FROM idempotency_keys
    WHERE caller = q.caller COLLATE "C" AND key_hash = q.key_hash COLLATE "C" LIMIT 1
  ) AS k ON true`

/** For questions without a user and a key, such as that of a confirmation by the holder. */
const EVENT_SALES = {
  name: 'reads_sales',
  text: `SELECT event_id, ${NOW}, ${EVENT_COLUMNS}, false AS has_claim, false AS has_key
    FROM events WHERE event_id = ANY($1::bigint[])`,
}

/** Answers many questions in one statement. Questions about unknown events have no answer. */
export async function readSales(
  pool: Pool,
  questions: readonly SaleQuestion[],
): Promise<Map<SaleQuestion, Sale>> {
  if (questions.every(({ userId, key }) => userId === undefined && key === undefined))
    return readEventSales(pool, questions)
  const { rows } = await pool.query<SaleRow & { question: string }>({
    text: SALES,
    values: [
      questions.map(({ eventId }) => eventId),
      questions.map(({ userId }) => userId ?? null),
      questions.map(({ key }) => key?.caller ?? null),
      questions.map(({ key }) => key?.keyHash ?? null),
    ],
  })
  return new Map(
    rows.map((row) => [questions[Number(row.question) - 1] as SaleQuestion, saleOf(row)]),
  )
}

const PLAIN_EVENTS = {
  name: 'reads_plain_events',
  text: `SELECT coalesce(json_agg(event_id), '[]') AS ids FROM (
      SELECT event_id, ${IS_PLAIN} AS is_plain FROM events WHERE event_id >= $1
      ORDER BY event_id LIMIT $2
    ) AS e WHERE is_plain`,
}

/**
 * Reads which of the next events are plain, see {@link Sale.isPlain}.
 *
 * @param fromEventId the smallest id
 * @param limit how many events to look at
 */
export async function readPlainEvents(
  pool: Pool,
  fromEventId: number,
  limit: number,
): Promise<number[]> {
  const values = [fromEventId, limit]
  const { rows } = await pool.query<{ ids: number[] }>({ ...PLAIN_EVENTS, values })
  return rows[0]?.ids ?? []
}

async function readEventSales(
  pool: Pool,
  questions: readonly SaleQuestion[],
): Promise<Map<SaleQuestion, Sale>> {
  const eventIds = [...new Set(questions.map(({ eventId }) => eventId))]
  const { rows } = await pool.query<SaleRow & { event_id: string }>({
    ...EVENT_SALES,
    values: [eventIds],
  })
  const sales = new Map(rows.map((row) => [Number(row.event_id), saleOf(row)]))
  const answers = new Map<SaleQuestion, Sale>()
  for (const question of questions) {
    const sale = sales.get(question.eventId)
    if (sale !== undefined) answers.set(question, sale)
  }
  return answers
}

function saleOf(row: SaleRow): Sale {
  return {
    // `decide` also rounds down, so both find the same state at the same time.
    nowMs: Math.floor(row.now_ms),
    isPlain: row.is_plain,
    confirmation: row.confirmation,
    canceledAtMs: row.canceled_at,
    opensAtMs: row.opens_at,
    closesAtMs: row.closes_at,
    paused: row.paused,
    hasClaim: row.has_claim,
    hasKey: row.has_key,
  }
}
