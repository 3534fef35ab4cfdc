/** Reads and writes an event outside its line. */
import {
  type EventSettings,
  type EventView,
  IDEMPOTENCY_KEY_HOURS,
  nameKeyOf,
} from '@ticket-line/shared'
import type { Pool, PoolClient } from 'pg'

/** The counters of an event. The claims of a canceled event do not count. */
export interface EventStatus {
  eventId: number
  /** The size that the organizer wants. */
  totalTickets: number
  availableTickets: number
  waitingListCount: number
}

export interface StatusRow {
  event_id: string
  capacity: number
  available_tickets: number
  waiting_count: number
}

/** SQL of the columns of a {@link StatusRow}. */
export const STATUS_COLUMNS = `event_id, coalesce(capacity, total_tickets) AS capacity, available_tickets,
  CASE WHEN canceled_at IS NULL THEN waiting_count ELSE 0 END AS waiting_count`

export function statusOfRow(row: StatusRow): EventStatus {
  return {
    eventId: Number(row.event_id),
    totalTickets: row.capacity,
    availableTickets: row.available_tickets,
    waitingListCount: row.waiting_count,
  }
}

/** Reads the counters of these events, by id. Events that do not exist are left out. */
export async function readEventStatuses(
  pool: Pool,
  eventIds: number[],
): Promise<Map<number, EventStatus>> {
  const { rows } = await pool.query<StatusRow>({
    name: 'reads_events',
    text: `SELECT ${STATUS_COLUMNS} FROM events WHERE event_id = ANY($1::bigint[])`,
    values: [eventIds],
  })
  return new Map(rows.map((row) => [Number(row.event_id), statusOfRow(row)]))
}

/** An event, and PostgreSQL's clock when it was read, ms since 1970. */
export interface EventSnapshot {
  event: EventView
  nowMs: number
}

interface ViewRow {
  event_id: string
  version: number
  owner: string | null
  canceled_at: number | null
  capacity: number
  available_tickets: number
  held_count: number
  withheld: number
  waiting_count: number
  name: string | null
  starts_at: number | null
  ends_at: number | null
  timezone: string | null
  venue: string | null
  url: string | null
  listed: boolean
  opens_at: number | null
  closes_at: number | null
  paused: boolean
  promoting: boolean
  hold_seconds: number | null
  offer_seconds: number | null
  max_hold_seconds: number | null
  confirmation: EventView['confirmation']
  max_waiting: number | null
  now_ms: number
}

/** SQL of a time as ms since 1970. The driver would parse the time itself into a Date. */
export const msOf = (time: string): string => `(extract(epoch FROM ${time}) * 1000)::float8`
/** SQL of columns that are times, each as ms since 1970, under their own names. */
export const msColumns = (...columns: string[]): string =>
  columns.map((column) => `${msOf(column)} AS ${column}`).join(', ')

// Rounded down to whole ms, so that no time counts as reached too early.
export const NOW_MS = `floor(extract(epoch FROM now()) * 1000)::float8 AS now_ms`

const VIEW_COLUMNS = `event_id, version, owner, coalesce(capacity, total_tickets) AS capacity, available_tickets,
  held_count, greatest(0, coalesce(capacity, total_tickets) - total_tickets) AS withheld, waiting_count, name,
  ${msColumns('starts_at', 'ends_at', 'opens_at', 'closes_at', 'canceled_at')},
  timezone, venue, url, listed, paused, promoting, hold_seconds, offer_seconds, max_hold_seconds, confirmation,
  max_waiting, ${NOW_MS}`

function snapshotOfRow(row: ViewRow): EventSnapshot {
  const event: EventView = {
    eventId: Number(row.event_id),
    totalTickets: row.capacity,
    name: row.name,
    startsAtMs: row.starts_at,
    endsAtMs: row.ends_at,
    timezone: row.timezone,
    venue: row.venue,
    url: row.url,
    listed: row.listed,
    confirmation: row.confirmation,
    opensAtMs: row.opens_at,
    closesAtMs: row.closes_at,
    paused: row.paused,
    promoting: row.promoting,
    holdSeconds: row.hold_seconds,
    offerSeconds: row.offer_seconds,
    maxHoldSeconds: row.max_hold_seconds,
    maxWaiting: row.max_waiting,
    version: row.version,
    owner: row.owner,
    canceledAtMs: row.canceled_at,
    availableTickets: row.available_tickets,
    heldTickets: row.held_count,
    withheldTickets: row.withheld,
    waitingListCount: row.waiting_count,
  }
  return { event, nowMs: row.now_ms }
}

/** Reads these events with all their settings, by id. Events that do not exist are left out. */
export async function readEvents(
  pool: Pool,
  eventIds: number[],
): Promise<Map<number, EventSnapshot>> {
  const { rows } = await pool.query<ViewRow>({
    name: 'reads_event_views',
    text: `SELECT ${VIEW_COLUMNS} FROM events WHERE event_id = ANY($1::bigint[])`,
    values: [eventIds],
  })
  return new Map(rows.map((row) => [Number(row.event_id), snapshotOfRow(row)]))
}

/** An event, and whether this call created it. */
export interface CreatedEvent {
  created: boolean
  event: EventStatus
}

/**
 * Creates an event with all its tickets free and the default settings. If the event exists, nothing
 * changes, whatever its size.
 *
 * Events are created and deleted outside the lines. That is safe because no command can change an
 * event that does not exist, and only an event that never had a claim is deleted.
 *
 * @param owner the user who creates it; null for an event without an owner
 */
export async function createEvent(
  pool: Pool,
  eventId: number,
  totalTickets: number,
  owner: string | null = null,
): Promise<CreatedEvent> {
  for (;;) {
    const { rowCount } = await pool.query(
      `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, owner)
       VALUES ($1, $2, $2, $2, $3) ON CONFLICT (event_id) DO NOTHING`,
      [eventId, totalTickets, owner],
    )
    if (rowCount === 1) {
      const event = { eventId, totalTickets, availableTickets: totalTickets, waitingListCount: 0 }
      return { created: true, event }
    }
    const event = (await readEventStatuses(pool, [eventId])).get(eventId)
    // If it is undefined, somebody deleted the event between the two statements.
    if (event !== undefined) return { created: false, event }
  }
}

/** A request to create an event with settings. */
export interface EventRequest {
  /** Undefined for the next free id of the sequence. */
  eventId: number | undefined
  settings: EventSettings
  owner: string
  /** The request's idempotency key; undefined if it has none. */
  key: { keyHash: string; requestHash: string } | undefined
  /** A new id, under which the answer is stored if there is a key. */
  commandId: string
}

export type EventCreation =
  | ({ kind: 'created'; replayed: boolean } & EventSnapshot)
  /** There is an event with this id. */
  | { kind: 'exists'; replayed: boolean }
  /** The caller used the key for another request. */
  | { kind: 'key_reused' }

/** What a transaction and its caller share: whether it may commit, and whether it sent COMMIT. */
export interface CommitProgress {
  /** False once the caller has given up. Then the transaction changes nothing. */
  mayCommit: boolean
  /** True once COMMIT was sent. */
  sent: boolean
}

/**
 * Creates an event with settings. A request that is repeated with its idempotency key within
 * `IDEMPOTENCY_KEY_HOURS` gets the first answer again. The answer is stored as that of a command of
 * the type `create_event`, so that the key also counts for the commands of lines.
 */
export async function createConfiguredEvent(
  pool: Pool,
  request: EventRequest,
  progress: CommitProgress,
): Promise<EventCreation> {
  return commitUnlessLate(pool, progress, async (client) => {
    const first = await claimKey(client, request)
    if (first !== undefined) return first
    const creation = await insertEvent(client, request)
    await storeAnswer(client, request, creation)
    return creation
  })
}

async function commitUnlessLate<T>(
  pool: Pool,
  progress: CommitProgress,
  run: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let isBroken = true
  try {
    await client.query('BEGIN')
    const result = await run(client)
    if (!progress.mayCommit) throw new Error('the caller of a transaction has given up')
    progress.sent = true
    await client.query('COMMIT')
    isBroken = false
    return result
  } finally {
    // Closing the connection ends a transaction that is still open.
    client.release(isBroken)
  }
}

/** The type and the outcomes of `POST /events` in `commands`. No command of a line has them. */
export const CREATE_EVENT = 'create_event'
export const EVENT_CREATED = 'event_created'
export const EVENT_EXISTS = 'event_exists'

/**
 * Records the idempotency key of a request, unless it was used before. If a concurrent transaction
 * has the same key, this one waits until the other has ended.
 *
 * @returns the first answer if the key was used before
 */
async function claimKey(
  client: PoolClient,
  { owner, key, commandId }: EventRequest,
): Promise<EventCreation | undefined> {
  if (key === undefined) return undefined
  const { keyHash, requestHash } = key
  // As in `write-statements.ts`, a key whose answer was pruned has expired, too.
  await client.query(
    `DELETE FROM idempotency_keys k WHERE caller = $1 AND key_hash = $2
       AND (now() - created_at >= interval '${IDEMPOTENCY_KEY_HOURS} hours'
         OR NOT EXISTS (SELECT FROM commands c WHERE c.command_id = k.command_id))`,
    [owner, keyHash],
  )
  const claimed = await client.query(
    `INSERT INTO idempotency_keys (caller, key_hash, command_id, request_hash, created_at)
     VALUES ($1, $2, $3, $4, now()) ON CONFLICT (caller, key_hash) DO NOTHING`,
    [owner, keyHash, commandId, requestHash],
  )
  if (claimed.rowCount === 1) return undefined
  const { rows } = await client.query<FirstAnswerRow>(
    `SELECT c.type, c.outcome, c.data->'event' AS event, floor(${msOf('c.decided_at')}) AS decided_ms, k.request_hash
     FROM idempotency_keys k JOIN commands c ON c.command_id = k.command_id
     WHERE k.caller = $1 AND k.key_hash = $2`,
    [owner, keyHash],
  )
  const [row] = rows
  if (row === undefined) throw new Error('an idempotency key was pruned while it was read')
  if (row.type !== CREATE_EVENT || row.request_hash !== requestHash) return { kind: 'key_reused' }
  return row.event === null
    ? { kind: 'exists', replayed: true }
    : { kind: 'created', replayed: true, event: row.event, nowMs: row.decided_ms }
}

interface FirstAnswerRow {
  type: string
  outcome: string
  event: EventView | null
  decided_ms: number
  request_hash: string | null
}

async function insertEvent(
  client: PoolClient,
  { eventId: chosen, settings, owner }: EventRequest,
): Promise<EventCreation> {
  for (;;) {
    const eventId = chosen ?? (await nextEventId(client))
    const { rows } = await client.query<ViewRow>(INSERT_EVENT, [
      eventId,
      owner,
      settings.name === null ? null : nameKeyOf(settings.name),
      JSON.stringify(settings),
    ])
    if (rows[0] !== undefined)
      return { kind: 'created', replayed: false, ...snapshotOfRow(rows[0]) }
    // A client chose this id before the sequence returned it. The next one may be free.
    if (chosen !== undefined) return { kind: 'exists', replayed: false }
  }
}

// `to_timestamp` alone rounds the milliseconds of times that are centuries ahead.
const timeOf = (column: string): string =>
  `to_timestamp(floor(${column} / 1000)) + (${column} - floor(${column} / 1000) * 1000) * interval '1 millisecond'`

const INSERT_EVENT = `INSERT INTO events (event_id, owner, name_key, capacity, total_tickets, available_tickets, name,
    starts_at, ends_at, timezone, venue, url, listed, confirmation, opens_at, closes_at, paused, promoting, hold_seconds,
    offer_seconds, max_hold_seconds, max_waiting)
  SELECT $1, $2, $3, n."totalTickets", n."totalTickets", n."totalTickets", n.name, ${timeOf('n."startsAtMs"')},
    ${timeOf('n."endsAtMs"')}, n.timezone, n.venue, n.url, n.listed, n.confirmation, ${timeOf('n."opensAtMs"')},
    ${timeOf('n."closesAtMs"')}, n.paused, n.promoting, n."holdSeconds", n."offerSeconds", n."maxHoldSeconds",
    n."maxWaiting"
  FROM jsonb_to_record($4::jsonb) AS n ("totalTickets" int, name text, "startsAtMs" float8, "endsAtMs" float8,
    timezone text, venue text, url text, listed bool, confirmation text, "opensAtMs" float8, "closesAtMs" float8,
    paused bool, promoting bool, "holdSeconds" int, "offerSeconds" int, "maxHoldSeconds" int, "maxWaiting" int)
  ON CONFLICT (event_id) DO NOTHING RETURNING ${VIEW_COLUMNS}`

/** The next id of the sequence that no event has. */
async function nextEventId(client: PoolClient): Promise<number> {
  const { rows } = await client.query<{ id: string }>(
    `WITH RECURSIVE ids (id) AS (
       SELECT nextval('event_ids') UNION ALL
       SELECT nextval('event_ids') FROM ids WHERE EXISTS (SELECT FROM events WHERE event_id = ids.id)
     ) SELECT max(id) AS id FROM ids`,
  )
  return Number(rows[0]?.id)
}

async function storeAnswer(
  client: PoolClient,
  { key, commandId, owner, eventId }: EventRequest,
  creation: EventCreation,
): Promise<void> {
  if (key === undefined) return
  const event = creation.kind === 'created' ? creation.event : undefined
  await client.query(
    `INSERT INTO commands (command_id, type, event_id, user_id, caller, idempotency_key, outcome, data, accepted_at,
       decided_at) VALUES ($1, $2, $3, $4, $4, $5, $6, $7, now(), now())`,
    [
      commandId,
      CREATE_EVENT,
      event?.eventId ?? eventId,
      owner,
      key.keyHash,
      event === undefined ? EVENT_EXISTS : EVENT_CREATED,
      event === undefined ? null : JSON.stringify({ event }),
    ],
  )
}

/** Deletes an event that never had a claim. Each claim gets a number, so its last number is 0. */
export async function deleteEvent(
  pool: Pool,
  eventId: number,
  progress: CommitProgress,
): Promise<'deleted' | 'in_use' | 'not_found'> {
  return commitUnlessLate(pool, progress, async (client) => {
    const { rowCount } = await client.query(
      'DELETE FROM events WHERE event_id = $1 AND last_sequence = 0',
      [eventId],
    )
    if (rowCount === 1) return 'deleted'
    const found = await client.query('SELECT FROM events WHERE event_id = $1', [eventId])
    return found.rowCount === 1 ? 'in_use' : 'not_found'
  })
}
