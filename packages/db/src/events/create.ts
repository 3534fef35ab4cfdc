import {
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventSettings,
  type EventView,
  IDEMPOTENCY_KEY_HOURS,
  type LoggedChangeData,
} from '@ticket-line/shared'
import type { Pool, PoolClient } from 'pg'
import { type CommitProgress, commitUnlessLate } from '../commit-unless-late.js'
import { isUniqueViolation } from '../faults.js'
import { msOf } from '../sql-times.js'
import {
  SETTINGS_COLUMNS,
  SETTINGS_RECORD,
  SETTINGS_VALUES,
  settingsJson,
} from './setting-columns.js'
import { type EventStatus, readEventStatuses } from './status.js'
import { type EventSnapshot, snapshotOfRow, VIEW_COLUMNS, type ViewRow } from './view.js'

/** An event, and whether this call created it. */
export interface CreatedEvent {
  created: boolean
  event: EventStatus
  /** The number of `event.created`; undefined if the event existed. */
  lastChange?: number
}

/**
 * Creates an event with all its tickets free and the default settings. If the event exists, nothing
 * changes, whatever its size.
 *
 * Events are created and deleted outside the lines. That is safe because no command can change an
 * event that does not exist, and only an event that never had a claim is deleted.
 *
 * @param owner the user who owns it; null for an event without an owner
 * @param actor the user or API key that creates it; null if the request had no token
 * @param progress if its caller gives up, no event is created
 */
export async function createEvent(
  pool: Pool,
  eventId: number,
  totalTickets: number,
  owner: string | null = null,
  actor: string | null = owner,
  progress: CommitProgress = { state: 'open' },
): Promise<CreatedEvent> {
  const settings = { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES, totalTickets }
  for (;;) {
    const creation = await withNextNumber(() =>
      commitUnlessLate(pool, progress, async (client): Promise<CreatedEvent | undefined> => {
        const lastChange = await insertPlainEvent(client, eventId, settings, owner, actor)
        if (lastChange !== undefined) {
          const event = {
            eventId,
            totalTickets,
            availableTickets: totalTickets,
            waitingListCount: 0,
          }
          return { created: true, event, lastChange }
        }
        const event = (await readEventStatuses(client, [eventId])).get(eventId)
        return event && { created: false, event }
      }),
    )
    // If it is undefined, the event was deleted between the two statements.
    if (creation !== undefined) return creation
  }
}

/** @returns the number of `event.created`; undefined if the event exists */
async function insertPlainEvent(
  client: PoolClient,
  eventId: number,
  settings: EventSettings,
  owner: string | null,
  actor: string | null,
): Promise<number | undefined> {
  const { rows } = await client.query<{ no: string }>(
    `WITH made AS (
       INSERT INTO events (event_id, capacity, total_tickets, available_tickets, owner, first_change, last_change)
       SELECT $1, $2, $2, $2, $3, no, no FROM ${nextChangeOf('$1')} ON CONFLICT (event_id) DO NOTHING
       RETURNING event_id, last_change
     ) ${logMade('$4', '$5')} RETURNING no`,
    [eventId, settings.totalTickets, owner, actor, createdDataOf(settings)],
  )
  return rows[0] && Number(rows[0].no)
}

/**
 * SQL of a table with the number of `event.created`. An event that was deleted keeps its log, so
 * the log of an event with the same id continues after it.
 */
function nextChangeOf(eventId: string): string {
  return `(SELECT coalesce(max(no), 0) + 1 AS no FROM changes WHERE event_id = ${eventId}::bigint) AS next`
}

/** SQL that logs the creation of the event in the CTE `made`. */
function logMade(actor: string, data: string): string {
  return `INSERT INTO changes (event_id, no, at, type, actor, data)
    SELECT event_id, last_change, date_trunc('milliseconds', now()), 'event.created', ${actor}::text, ${data}::jsonb
    FROM made`
}

function createdDataOf(settings: EventSettings): string {
  const data: LoggedChangeData = { settings }
  return JSON.stringify(data)
}

/**
 * Runs a creation again if the number of its change is taken. This happens if another event with
 * the same id was created and deleted after the creation had read the last number of the log.
 */
async function withNextNumber<T>(create: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await create()
    } catch (error) {
      if (!isUniqueViolation(error, 'changes_event_id_no_pk')) throw error
    }
  }
}

/** A request to create an event with settings. */
export interface EventRequest {
  /** Undefined for the next free id of the sequence. */
  eventId: number | undefined
  settings: EventSettings
  owner: string
  /** The user or API key that sent the request. It is the actor in the log. */
  caller: string
  /** The request's idempotency key; undefined if it has none. */
  key: { keyHash: string; requestHash: string } | undefined
  /** A new id, under which the answer is stored if there is a key. */
  commandId: string
}

export type EventCreation =
  | ({
      kind: 'created'
      replayed: boolean
      /**
       * The number of `event.created`; absent if this is the repeated answer of an earlier request.
       */
      lastChange?: number
    } & EventSnapshot)
  /** There is an event with this id. */
  | { kind: 'exists'; replayed: boolean }
  /** The caller used the key for another request. */
  | { kind: 'key_reused' }

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
  return withNextNumber(() =>
    commitUnlessLate(pool, progress, async (client) => {
      const first = await claimKey(client, request)
      if (first !== undefined) return first
      const creation = await insertEvent(client, request)
      await storeAnswer(client, request, creation)
      return creation
    }),
  )
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
  { caller, key, commandId }: EventRequest,
): Promise<EventCreation | undefined> {
  if (key === undefined) return undefined
  const { keyHash, requestHash } = key
  // As in `write-statements.ts`, a key whose answer was pruned has expired, too.
  await client.query(
    `DELETE FROM idempotency_keys k WHERE caller = $1 AND key_hash = $2
       AND (now() - created_at >= interval '${IDEMPOTENCY_KEY_HOURS} hours'
         OR NOT EXISTS (SELECT FROM commands c WHERE c.command_id = k.command_id))`,
    [caller, keyHash],
  )
  const claimed = await client.query(
    `INSERT INTO idempotency_keys (caller, key_hash, command_id, request_hash, created_at)
     VALUES ($1, $2, $3, $4, now()) ON CONFLICT (caller, key_hash) DO NOTHING`,
    [caller, keyHash, commandId, requestHash],
  )
  if (claimed.rowCount === 1) return undefined
  const { rows } = await client.query<FirstAnswerRow>(
    `SELECT c.type, c.outcome, c.data->'event' AS event, floor(${msOf('c.decided_at')}) AS decided_ms, k.request_hash
     FROM idempotency_keys k JOIN commands c ON c.command_id = k.command_id
     WHERE k.caller = $1 AND k.key_hash = $2`,
    [caller, keyHash],
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
  { eventId: chosen, settings, owner, caller }: EventRequest,
): Promise<EventCreation> {
  for (;;) {
    const eventId = chosen ?? (await nextEventId(client))
    const { rows } = await client.query<ViewRow & { last_change: string }>(INSERT_EVENT, [
      eventId,
      owner,
      JSON.stringify(settingsJson(settings)),
      createdDataOf(settings),
      caller,
    ])
    if (rows[0] !== undefined) {
      const lastChange = Number(rows[0].last_change)
      return { kind: 'created', replayed: false, lastChange, ...snapshotOfRow(rows[0]) }
    }
    // A client chose this id before the sequence returned it. The next one may be free.
    if (chosen !== undefined) return { kind: 'exists', replayed: false }
  }
}

const INSERT_EVENT = `WITH made AS (
    INSERT INTO events (event_id, owner, first_change, last_change, capacity, total_tickets, available_tickets,
      ${SETTINGS_COLUMNS.join(', ')})
    SELECT $1, $2, next.no, next.no, n."totalTickets", n."totalTickets", n."totalTickets",
      ${SETTINGS_VALUES.join(', ')}
    FROM ${nextChangeOf('$1')}, jsonb_to_record($3::jsonb) AS n ("totalTickets" int, ${SETTINGS_RECORD})
    ON CONFLICT (event_id) DO NOTHING RETURNING *
  ), logged AS (${logMade('$5', '$4')})
  SELECT ${VIEW_COLUMNS}, last_change FROM made`

/** Takes ids from the sequence until no event has the id. */
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
  { key, commandId, owner, caller, eventId }: EventRequest,
  creation: EventCreation,
): Promise<void> {
  if (key === undefined) return
  const event = creation.kind === 'created' ? creation.event : undefined
  await client.query(
    `INSERT INTO commands (command_id, type, event_id, user_id, caller, idempotency_key, outcome, data, accepted_at,
       decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), now())`,
    [
      commandId,
      CREATE_EVENT,
      event?.eventId ?? eventId,
      owner,
      caller,
      key.keyHash,
      event === undefined ? EVENT_EXISTS : EVENT_CREATED,
      event === undefined ? null : JSON.stringify({ event }),
    ],
  )
}
