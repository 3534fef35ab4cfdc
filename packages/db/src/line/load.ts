import {
  type CommandType,
  MAX_COMMANDS_PER_JOB,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import type pg from 'pg'
import { waitingUpTo } from '../reads/waitlist-rank.js'
import { answerDecidedAt, type CommandRow, outcomeOfRow } from './columns.js'
import { arrayOf, roundTrip, type Statement } from './statement.js'

/** What a batch wants to know. */
export interface LoadRequest {
  /** Events named in the batch, ascending: locks are taken in this order by everybody. */
  eventIds: number[]
  /**
   * What to do where somebody else holds the lock of an event: wait for it, or fail at once with 55P03, so that events
   * of other lines in the same batch need not wait with it.
   */
  whenLocked: 'wait' | 'fail'
  /** The jobs whose commands are decided: the stored outcomes of each are one stretch of the primary key. */
  jobIds: string[]
  /** Users named in the batch; `wantRank` where a rank may be part of the answer. */
  users: { eventId: number; userId: string; wantRank: boolean }[]
  /** How many entries of the waiting list the batch can take away, for events where that is not zero. */
  heads: { eventId: number; count: number }[]
  /** Idempotency keys carried by the batch. */
  keys: { caller: string; keyHash: string }[]
}

export interface LoadedBatch {
  /** The database's clock once all locks were held, ms since 1970. */
  nowMs: number
  events: EventRow[]
  claims: {
    eventId: number
    userId: string
    kind: 'booking' | 'waiting'
    sequence: number
    rank: number | null
  }[]
  heads: { eventId: number; sequence: number; userId: string }[]
  stored: { commandId: string; outcome: Outcome | RefusedOutcome }[]
  /**
   * Commands of the jobs that were decided and whose outcomes were pruned; see `forgottenCommands`
   * in `schema.ts`.
   */
  forgotten: string[]
  /**
   * Keys of any age. Whether a key still holds depends on when the repeating request was accepted.
   */
  keys: {
    caller: string
    keyHash: string
    /** When the first request with the key was accepted, ms since 1970. */
    createdAtMs: number
    commandId: string
    type: CommandType
    eventId: number
    userId: string
    outcome: Outcome
  }[]
}

export interface EventRow {
  eventId: number
  totalTickets: number
  availableTickets: number
  waitingCount: number
  lastSequence: number
  waitlistHeadSequence: number
}

// Rows are looked up in subqueries that PostgreSQL cannot dissolve (LATERAL with a LIMIT), one search of an index for
// each row that comes in. A plain join may be turned round: planned while a table held three rows, it read all of it
// for the life of the connection, however large the table had become.

const lockEvents: Statement = {
  name: 'line_lock_events',
  text: `SELECT event_id, total_tickets, available_tickets, waiting_count, last_sequence, waitlist_head_sequence
    FROM events WHERE event_id = ANY($1::bigint[]) ORDER BY event_id FOR UPDATE`,
}
const lockFreeEvents: Statement = {
  name: 'line_lock_free_events',
  text: `${lockEvents.text} NOWAIT`,
}

const OF_JOBS = `unnest($1::text[], $2::text[]) AS j (after_id, before_id)`
const OF_JOB = `command_id > j.after_id COLLATE "C" AND command_id < j.before_id COLLATE "C" LIMIT ${MAX_COMMANDS_PER_JOB}`

// The outer join gives one row even if nothing is stored, because this statement also reads the
// clock, which must happen after the locks were taken.
export const readStored: Statement = {
  name: 'line_read_stored',
  text: `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms, c.command_id, c.event_id, c.outcome,
      c.position, c.booking_sequence, c.promoted_user_id, c.replay_of, ${answerDecidedAt},
      ARRAY(SELECT f.command_id FROM ${OF_JOBS}
        CROSS JOIN LATERAL (SELECT command_id FROM forgotten_commands WHERE ${OF_JOB}) AS f) AS forgotten
    FROM (VALUES (1)) AS one LEFT JOIN (
      ${OF_JOBS} CROSS JOIN LATERAL (SELECT * FROM commands WHERE ${OF_JOB}) AS c
    ) ON true`,
}

const HEAD = 'SELECT waitlist_head_sequence FROM events WHERE event_id = c.event_id'
const readClaims: Statement = {
  name: 'line_read_claims',
  text: `SELECT c.event_id, c.user_id, c.kind, c.sequence,
      CASE WHEN c.kind = 'waiting' AND u.want_rank THEN ${waitingUpTo('c.event_id', HEAD, 'c.sequence')} END AS rank
    FROM unnest($1::bigint[], $2::text[], $3::bool[]) AS u (event_id, user_id, want_rank)
    CROSS JOIN LATERAL (
      SELECT * FROM claims WHERE event_id = u.event_id AND user_id = u.user_id COLLATE "C" LIMIT 1
    ) AS c`,
}

/** Finds the heads of waiting lists by the index that holds only entries that are still waiting. */
export const readHeads: Statement = {
  name: 'line_read_heads',
  text: `SELECT h.event_id, w.sequence, w.user_id
    FROM unnest($1::bigint[], $2::int[]) AS h (event_id, entries)
    CROSS JOIN LATERAL (
      SELECT waitlist_head_sequence FROM events WHERE event_id = h.event_id AND waiting_count > 0 LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (
      SELECT sequence, user_id FROM waitlist_entries
      WHERE event_id = h.event_id AND sequence >= e.waitlist_head_sequence AND status = 'waiting'
      ORDER BY sequence LIMIT h.entries
    ) AS w ORDER BY h.event_id, w.sequence`,
}

export const readKeys: Statement = {
  name: 'line_read_keys',
  text: `SELECT wanted.caller, wanted.key_hash, c.command_id, c.type, c.event_id, c.user_id, c.outcome, c.position,
      c.booking_sequence, c.promoted_user_id, c.replay_of, c.decided_at, k.created_at
    FROM unnest($1::text[], $2::text[]) AS wanted (caller, key_hash)
    CROSS JOIN LATERAL (
      SELECT command_id, created_at FROM idempotency_keys
      WHERE caller = wanted.caller COLLATE "C" AND key_hash = wanted.key_hash COLLATE "C" LIMIT 1
    ) AS k
    CROSS JOIN LATERAL (SELECT * FROM commands WHERE command_id = k.command_id LIMIT 1) AS c`,
}

/**
 * Begins a transaction, locks the events of a batch and reads what its decision needs, in one round
 * trip. The reads are separate statements after the lock: under READ COMMITTED, each of them sees
 * what was committed when the lock was granted.
 *
 * @param begin false if the transaction has begun already
 */
export async function beginBatch(
  client: pg.ClientBase,
  request: LoadRequest,
  begin = true,
): Promise<LoadedBatch> {
  const { users, heads, keys } = request
  const none = Promise.resolve([])
  const [, eventRows, storedRows, claimRows, headRows, keyRows] = await roundTrip(
    client,
    (trip) => [
      begin ? trip.control('BEGIN') : none,
      trip.rows<Record<string, string | number>>(
        request.whenLocked === 'wait' ? lockEvents : lockFreeEvents,
        [arrayOf(request.eventIds)],
      ),
      trip.rows<StoredRow>(readStored, valuesOfJobs(request.jobIds)),
      trip.rows<ClaimRow>(readClaims, [
        arrayOf(users.map((user) => user.eventId)),
        arrayOf(users.map((user) => user.userId)),
        arrayOf(users.map((user) => user.wantRank)),
      ]),
      heads.length === 0
        ? none
        : trip.rows<Omit<ClaimRow, 'kind' | 'rank'>>(readHeads, [
            arrayOf(heads.map((head) => head.eventId)),
            arrayOf(heads.map((head) => head.count)),
          ]),
      keys.length === 0 ? none : trip.rows<KeyRow>(readKeys, valuesOfKeys(keys)),
    ],
  )
  return {
    nowMs: Math.floor(storedRows[0]?.now_ms ?? Number.NaN),
    events: eventRows.map(eventOfRow),
    claims: claimRows.map((row) => ({
      eventId: Number(row.event_id),
      userId: row.user_id,
      kind: row.kind,
      sequence: Number(row.sequence),
      rank: row.rank === null ? null : Number(row.rank),
    })),
    heads: headRows.map((row) => ({
      eventId: Number(row.event_id),
      sequence: Number(row.sequence),
      userId: row.user_id,
    })),
    stored: storedRows
      .filter((row) => row.command_id !== null)
      .map((row) => ({ commandId: row.command_id, outcome: outcomeOfRow(row) })),
    forgotten: storedRows[0]?.forgotten ?? [],
    keys: keyRows.map(keyOfRow),
  }
}

/** Values of `readStored`. '.' separates the index from the job id and '/' follows it in ASCII. */
export function valuesOfJobs(jobIds: readonly string[]): [string, string] {
  return [arrayOf(jobIds.map((jobId) => `${jobId}.`)), arrayOf(jobIds.map((jobId) => `${jobId}/`))]
}

/** Values of `readKeys`. */
export function valuesOfKeys(keys: LoadRequest['keys']): [string, string] {
  return [arrayOf(keys.map((key) => key.caller)), arrayOf(keys.map((key) => key.keyHash))]
}

/** A row of `readStored`. The columns of the command are null if nothing is stored. */
export type StoredRow = CommandRow & { now_ms: number; forgotten: string[] }

/** A row of `readKeys`. */
export type KeyRow = CommandRow & { caller: string; key_hash: string; created_at: Date }

export function keyOfRow(row: KeyRow): LoadedBatch['keys'][number] {
  return {
    caller: row.caller,
    keyHash: row.key_hash,
    createdAtMs: row.created_at.getTime(),
    commandId: row.command_id,
    type: row.type,
    eventId: Number(row.event_id),
    userId: row.user_id,
    outcome: outcomeOfRow(row) as Outcome,
  }
}

interface ClaimRow {
  event_id: string
  user_id: string
  kind: 'booking' | 'waiting'
  sequence: string
  rank: string | null
}

function eventOfRow(row: Record<string, string | number>): EventRow {
  return {
    eventId: Number(row.event_id),
    totalTickets: Number(row.total_tickets),
    availableTickets: Number(row.available_tickets),
    waitingCount: Number(row.waiting_count),
    lastSequence: Number(row.last_sequence),
    waitlistHeadSequence: Number(row.waitlist_head_sequence),
  }
}
