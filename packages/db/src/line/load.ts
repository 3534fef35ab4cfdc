import { MAX_COMMANDS_PER_JOB, type Outcome, type StoredOutcome } from '@ticket-line/shared'
import { countWaitingUpTo } from '../reads/waitlist-position.js'
import type { ClaimKind } from '../schema.js'
import { arrayOf } from './array-literal.js'
import {
  type CommandRow,
  commandOfRow,
  outcomeOfRow,
  SELECT_COMMAND,
  type StoredCommand,
} from './columns.js'
import { type LineConnection, NO_ROWS, type Statement } from './transaction.js'

/** What must be loaded to decide a batch. */
export interface LoadRequest {
  /** Events named in the batch, ascending. Every transaction locks events in this order. */
  eventIds: number[]
  /**
   * What to do if another transaction holds the lock of an event. With `fail`, the load fails at
   * once (55P03), so that the events of other lines in the batch need not wait for this one.
   */
  whenLocked: 'wait' | 'fail'
  /** The jobs of the commands. Stored outcomes of a job are one range of the primary key. */
  jobIds: string[]
  /** Users named in the batch. `wantPosition` is true if the outcome may contain a position. */
  users: { eventId: number; userId: string; wantPosition: boolean }[]
  /** The waiting lists from which the batch may take entries, and at most how many. */
  heads: { eventId: number; count: number }[]
  /** Idempotency keys in the batch. */
  keys: { caller: string; keyHash: string }[]
}

/** The rows that a batch is decided from. */
export interface LoadedBatch {
  /** The database's clock when all locks were held, ms since 1970. */
  nowMs: number
  events: EventRow[]
  claims: {
    eventId: number
    userId: string
    kind: ClaimKind
    sequence: number
    /** The position of a waiting-list entry; null if it was not requested. */
    position: number | null
  }[]
  heads: { eventId: number; sequence: number; userId: string }[]
  stored: { commandId: string; outcome: StoredOutcome }[]
  /**
   * Those commands of the jobs that were decided and whose outcomes were pruned; see
   * `forgottenCommands` in `schema.ts`.
   */
  forgotten: string[]
  /**
   * Keys of any age. Whether a key is still valid depends on when the repeated request was
   * accepted.
   */
  keys: (FirstAnswer & { keyHash: string })[]
}

/** A row of `events`. */
export interface EventRow {
  eventId: number
  totalTickets: number
  availableTickets: number
  waitingCount: number
  /**
   * The last sequence number. Bookings and waiting-list entries are numbered in the order of
   * decisions.
   */
  lastSequence: number
  /** No entry with a lower sequence is on the waiting list. */
  waitlistHeadSequence: number
}

/** The first command with an idempotency key, and its answer. */
export interface FirstAnswer extends StoredCommand {
  outcome: Outcome
}

// Each subquery is a LATERAL with a LIMIT, which PostgreSQL cannot flatten into a join, so it makes
// one index search for each row that comes in. A plain join that is planned while a table is tiny
// may read the whole table, and the connection keeps that plan however large the table grows.

const SELECT_EVENTS = `SELECT event_id, total_tickets, available_tickets, waiting_count, last_sequence,
    waitlist_head_sequence FROM events WHERE event_id = ANY($1::bigint[]) ORDER BY event_id`
// `npm run faults:mutants` removes the text between the marks, and its checks must notice that.
const lockEvents: Statement = {
  name: 'line_lock_events',
  text: `${SELECT_EVENTS} /* guard:row-lock */ FOR UPDATE /* end guard */`,
}
const lockFreeEvents: Statement = {
  name: 'line_lock_free_events',
  text: `${SELECT_EVENTS} /* guard:row-lock-nowait */ FOR UPDATE NOWAIT /* end guard */`,
}

const OF_JOBS = `unnest($1::text[], $2::text[]) AS j (after_id, before_id)`
const OF_JOB = `command_id > j.after_id COLLATE "C" AND command_id < j.before_id COLLATE "C" LIMIT ${MAX_COMMANDS_PER_JOB}`

// This statement also reads the clock, which must happen after the locks were taken. The outer join
// makes it return a row even if nothing is stored.
const readStored: Statement = {
  name: 'line_read_stored',
  text: `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms, ${SELECT_COMMAND},
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
      CASE WHEN c.kind = 'waiting' AND u.want_position THEN ${countWaitingUpTo('c.event_id', HEAD, 'c.sequence')} END AS position
    FROM unnest($1::bigint[], $2::text[], $3::bool[]) AS u (event_id, user_id, want_position)
    CROSS JOIN LATERAL (
      SELECT * FROM claims WHERE event_id = u.event_id AND user_id = u.user_id COLLATE "C" LIMIT 1
    ) AS c`,
}

// Uses the index that contains only the entries that are waiting.
const readHeads: Statement = {
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

const readKeys: Statement = {
  name: 'line_read_keys',
  text: `SELECT ${SELECT_COMMAND}, wanted.key_hash, k.created_at
    FROM unnest($1::text[], $2::text[]) AS wanted (caller, key_hash)
    CROSS JOIN LATERAL (
      SELECT command_id, created_at FROM idempotency_keys
      WHERE caller = wanted.caller COLLATE "C" AND key_hash = wanted.key_hash COLLATE "C" LIMIT 1
    ) AS k
    CROSS JOIN LATERAL (SELECT * FROM commands WHERE command_id = k.command_id LIMIT 1) AS c`,
}

/**
 * Locks the events of a batch and reads what its decision needs, in one round trip. The reads are
 * separate statements after the lock: under READ COMMITTED, each of them sees what was committed
 * when the lock was granted.
 */
export async function load(connection: LineConnection, request: LoadRequest): Promise<LoadedBatch> {
  const { eventIds, jobIds, users, heads, keys } = request
  const lock = request.whenLocked === 'wait' ? lockEvents : lockFreeEvents
  const [eventRows, storedRows, claimRows, headRows, keyRows] = await connection.roundTrip(
    (send) => [
      eventIds.length === 0 ? NO_ROWS : send<EventColumns>(lock, [arrayOf(eventIds)]),
      // '.' separates the index from the job id, and '/' follows '.' in ASCII.
      send<StoredRow>(readStored, [
        arrayOf(jobIds.map((jobId) => `${jobId}.`)),
        arrayOf(jobIds.map((jobId) => `${jobId}/`)),
      ]),
      users.length === 0
        ? NO_ROWS
        : send<ClaimRow>(readClaims, [
            arrayOf(users.map((user) => user.eventId)),
            arrayOf(users.map((user) => user.userId)),
            arrayOf(users.map((user) => user.wantPosition)),
          ]),
      heads.length === 0
        ? NO_ROWS
        : send<HeadRow>(readHeads, [
            arrayOf(heads.map((head) => head.eventId)),
            arrayOf(heads.map((head) => head.count)),
          ]),
      keys.length === 0
        ? NO_ROWS
        : send<KeyRow>(readKeys, [
            arrayOf(keys.map((key) => key.caller)),
            arrayOf(keys.map((key) => key.keyHash)),
          ]),
    ],
  )
  const [first] = storedRows.rows
  return {
    nowMs: Math.floor(first?.now_ms ?? Number.NaN),
    events: eventRows.rows.map(eventOfRow),
    claims: claimRows.rows.map((row) => ({
      eventId: Number(row.event_id),
      userId: row.user_id,
      kind: row.kind,
      sequence: Number(row.sequence),
      position: row.position === null ? null : Number(row.position),
    })),
    heads: headRows.rows.map((row) => ({
      eventId: Number(row.event_id),
      sequence: Number(row.sequence),
      userId: row.user_id,
    })),
    stored: storedRows.rows
      .filter((row) => row.command_id !== null)
      .map((row) => ({ commandId: row.command_id, outcome: outcomeOfRow(row) })),
    forgotten: first?.forgotten ?? [],
    keys: keyRows.rows.map(keyOfRow),
  }
}

type EventColumns = Record<
  | 'event_id'
  | 'total_tickets'
  | 'available_tickets'
  | 'waiting_count'
  | 'last_sequence'
  | 'waitlist_head_sequence',
  string | number
>

/** The columns of the command are null if nothing is stored. */
type StoredRow = CommandRow & { now_ms: number; forgotten: string[] }

interface ClaimRow {
  event_id: string
  user_id: string
  kind: ClaimKind
  sequence: string
  position: string | null
}

type HeadRow = Pick<ClaimRow, 'event_id' | 'sequence' | 'user_id'>

type KeyRow = CommandRow & { key_hash: string; created_at: Date }

function eventOfRow(row: EventColumns): EventRow {
  return {
    eventId: Number(row.event_id),
    totalTickets: Number(row.total_tickets),
    availableTickets: Number(row.available_tickets),
    waitingCount: Number(row.waiting_count),
    lastSequence: Number(row.last_sequence),
    waitlistHeadSequence: Number(row.waitlist_head_sequence),
  }
}

function keyOfRow(row: KeyRow): LoadedBatch['keys'][number] {
  return {
    command: commandOfRow(row),
    keyHash: row.key_hash,
    acceptedAtMs: row.created_at.getTime(),
    outcome: outcomeOfRow(row) as Outcome,
  }
}
