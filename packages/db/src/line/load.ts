import {
  type EventDetails,
  MAX_COMMANDS_PER_JOB,
  type Outcome,
  type PublicCommand,
  type SaleRules,
  type StoredOutcome,
} from '@ticket-line/shared'
import { SELECT_DETAILS, SELECT_RULES } from '../events/setting-columns.js'
import { countWaitingUpTo } from '../reads/waitlist-position.js'
import type { ClaimKind, LiveKind } from '../schema.js'
import { msColumns, msOf } from '../sql-times.js'
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
  /** Bookings and holds that the batch names by their `bookingId`. */
  named: { eventId: number; sequence: number }[]
  /** The events with a settle, and how many claims to load that it may end or log as expiring. */
  due: { eventId: number; count: number }[]
  /** The events whose `EventDetails` are needed. */
  details: number[]
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
  claims: LoadedClaim[]
  /** The named holds that have lapsed. */
  lapsed: { eventId: number; sequence: number; userId: string; lapsedAtMs: number }[]
  /**
   * The claims that a settle may end, in order. For a canceled event these are the live claims with
   * the lowest numbers, for other events the holds with the earliest deadlines.
   */
  due: {
    eventId: number
    kind: LiveKind
    sequence: number
    userId: string
    /** Null if the event is canceled. */
    expiresAtMs: number | null
  }[]
  /** The holds of the same events that were not logged as expiring, in order of their reminders. */
  expiring: {
    eventId: number
    sequence: number
    userId: string
    /** Ms since 1970. */
    heldAtMs: number
    expiresAtMs: number
  }[]
  details: (EventDetails & { eventId: number; owner: string | null })[]
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

/** A row of `claims`, with the columns of its hold. All times are ms since 1970. */
export type LoadedClaim = { eventId: number; userId: string; sequence: number } & (
  | { kind: 'booking' }
  | { kind: 'waiting'; position: number | null }
  | { kind: 'held'; heldAtMs: number; holdSeconds: number; expiresAtMs: number; offered: boolean }
  | { kind: 'lapsed'; lapsedAtMs: number }
)

/** A row of `events`, without the settings that no decision depends on. */
export interface EventRow extends SaleRules {
  eventId: number
  /** The size that the organizer wants. */
  capacity: number
  /** Tickets in circulation: booked, held or free. */
  totalTickets: number
  availableTickets: number
  heldCount: number
  waitingCount: number
  /**
   * The last sequence number. Bookings and waiting-list entries are numbered in the order of
   * decisions.
   */
  lastSequence: number
  /**
   * No entry with a lower sequence is on the waiting list. If the event is canceled, no claim with
   * a lower sequence is live.
   */
  waitlistHeadSequence: number
  /** When a settle is due, ms since 1970; null if none is. It may be too early, never too late. */
  dueAtMs: number | null
  /** Ms since 1970. */
  canceledAtMs: number | null
  /** Counts the changes of settings. */
  version: number
  /** The last number in the event's change log. */
  lastChange: number
}

/** The first command with an idempotency key, and its answer. */
export interface FirstAnswer extends StoredCommand {
  command: PublicCommand & { requestHash?: string }
  outcome: Outcome
}

// Each subquery is a LATERAL with a LIMIT, which PostgreSQL cannot flatten into a join, so it makes
// one index search for each row that comes in. A plain join that is planned while a table is tiny
// may read the whole table, and the connection keeps that plan however large the table grows.

const SELECT_EVENTS = `SELECT event_id AS "eventId", coalesce(capacity, total_tickets) AS capacity,
    total_tickets AS "totalTickets", available_tickets AS "availableTickets", held_count AS "heldCount",
    waiting_count AS "waitingCount", last_sequence AS "lastSequence",
    waitlist_head_sequence AS "waitlistHeadSequence", version, last_change AS "lastChange",
    ${msOf('due_at')} AS "dueAtMs", ${msOf('canceled_at')} AS "canceledAtMs", ${SELECT_RULES}
    FROM events WHERE event_id = ANY($1::bigint[]) ORDER BY event_id`
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
  text: `SELECT ${msOf('clock_timestamp()')} AS now_ms, ${SELECT_COMMAND},
      ARRAY(SELECT f.command_id FROM ${OF_JOBS}
        CROSS JOIN LATERAL (SELECT command_id FROM forgotten_commands WHERE ${OF_JOB}) AS f) AS forgotten
    FROM (VALUES (1)) AS one LEFT JOIN (
      ${OF_JOBS} CROSS JOIN LATERAL (SELECT * FROM commands WHERE ${OF_JOB}) AS c
    ) ON true`,
}

const HEAD = 'SELECT waitlist_head_sequence FROM events WHERE event_id = c.event_id'
const readClaims: Statement = {
  name: 'line_read_claims',
  text: `SELECT c.event_id, c.user_id, c.kind, c.sequence, b.*,
      CASE WHEN c.kind = 'waiting' AND u.want_position THEN ${countWaitingUpTo('c.event_id', HEAD, 'c.sequence')} END AS position
    FROM unnest($1::bigint[], $2::text[], $3::bool[]) AS u (event_id, user_id, want_position)
    CROSS JOIN LATERAL (
      SELECT * FROM claims WHERE event_id = u.event_id AND user_id = u.user_id COLLATE "C" LIMIT 1
    ) AS c
    LEFT JOIN LATERAL (
      SELECT ${msColumns('held_at', 'expires_at', 'canceled_at')}, hold_seconds, promoted FROM bookings
      WHERE c.kind IN ('held', 'lapsed') AND event_id = c.event_id AND sequence = c.sequence LIMIT 1
    ) AS b ON true`,
}

const readLapsed: Statement = {
  name: 'line_read_lapsed',
  text: `SELECT b.event_id, b.sequence, b.user_id, ${msColumns('canceled_at')}
    FROM unnest($1::bigint[], $2::bigint[]) AS n (event_id, sequence)
    CROSS JOIN LATERAL (
      SELECT * FROM bookings WHERE event_id = n.event_id AND sequence = n.sequence LIMIT 1
    ) AS b WHERE b.status = 'expired'`,
}

// No hold has its deadline or its reminder before `due_at`, so the searches of settles start there.
// Otherwise each of them would step over the index entries of all holds that have lapsed since the
// last VACUUM. It starts a second earlier, because some times are rounded.
const DUE_FROM = `coalesce(due_at, '-infinity') - interval '1 second'`

// Settles end the claims of a canceled event in order of their numbers. No live claim has a number
// below `waitlist_head_sequence`.
const LIVE = `event_id = n.event_id AND sequence >= e.head`
const readDue: Statement = {
  name: 'line_read_due',
  text: `SELECT n.event_id, d.* FROM unnest($1::bigint[], $2::int[]) AS n (event_id, claims)
    CROSS JOIN LATERAL (
      SELECT canceled_at, waitlist_head_sequence AS head, ${DUE_FROM} AS due_from
      FROM events WHERE event_id = n.event_id LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (
      (SELECT 'held' AS kind, sequence, user_id, ${msColumns('expires_at')} FROM bookings
        WHERE e.canceled_at IS NULL AND event_id = n.event_id AND status = 'held' AND bookings.expires_at >= e.due_from
        ORDER BY bookings.expires_at, sequence LIMIT n.claims)
      UNION ALL
      (SELECT kind, sequence, user_id, NULL FROM (
        (SELECT CASE status WHEN 'held' THEN status ELSE 'booking' END AS kind, sequence, user_id FROM bookings
          WHERE e.canceled_at IS NOT NULL AND ${LIVE} AND status IN ('confirmed', 'held')
          ORDER BY sequence LIMIT n.claims)
        UNION ALL
        (SELECT 'waiting', sequence, user_id FROM waitlist_entries
          WHERE e.canceled_at IS NOT NULL AND ${LIVE} AND status = 'waiting' ORDER BY sequence LIMIT n.claims)
      ) AS live ORDER BY sequence LIMIT n.claims)
    ) AS d ORDER BY n.event_id, d.expires_at, d.sequence`,
}

// The order of the index `bookings_expiring`.
const REMINDER = `((expires_at AT TIME ZONE 'UTC') - (expires_at - held_at) / 5)`
const readExpiring: Statement = {
  name: 'line_read_expiring',
  text: `SELECT n.event_id, h.sequence, h.user_id, ${msColumns('held_at', 'expires_at')}
    FROM unnest($1::bigint[], $2::int[]) AS n (event_id, holds)
    CROSS JOIN LATERAL (
      SELECT (${DUE_FROM}) AT TIME ZONE 'UTC' AS due_from FROM events WHERE event_id = n.event_id LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (
      SELECT sequence, user_id, held_at, expires_at, ${REMINDER} AS reminder FROM bookings
      WHERE event_id = n.event_id AND status = 'held' AND reminded_at IS NULL AND ${REMINDER} >= e.due_from
      ORDER BY ${REMINDER}, sequence LIMIT n.holds
    ) AS h ORDER BY n.event_id, h.reminder, h.sequence`,
}

const readDetails: Statement = {
  name: 'line_read_details',
  text: `SELECT d.* FROM unnest($1::bigint[]) AS n (event_id)
    CROSS JOIN LATERAL (
      SELECT event_id, owner, ${SELECT_DETAILS}
      FROM events WHERE event_id = n.event_id LIMIT 1
    ) AS d`,
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
  text: `SELECT ${SELECT_COMMAND}, wanted.key_hash, k.request_hash, k.created_at
    FROM unnest($1::text[], $2::text[]) AS wanted (caller, key_hash)
    CROSS JOIN LATERAL (
      SELECT command_id, request_hash, created_at FROM idempotency_keys
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
  const { eventIds, jobIds, users, heads, keys, named, due, details } = request
  const lock = request.whenLocked === 'wait' ? lockEvents : lockFreeEvents
  const [events, stored, claims, queue, keyed, lapsed, dueClaims, expiring, settings] =
    await connection.roundTrip((send) => [
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
      named.length === 0
        ? NO_ROWS
        : send<LapsedRow>(readLapsed, [
            arrayOf(named.map((booking) => booking.eventId)),
            arrayOf(named.map((booking) => booking.sequence)),
          ]),
      due.length === 0
        ? NO_ROWS
        : send<DueRow>(readDue, [
            arrayOf(due.map((event) => event.eventId)),
            arrayOf(due.map((event) => event.count)),
          ]),
      due.length === 0
        ? NO_ROWS
        : send<ExpiringRow>(readExpiring, [
            arrayOf(due.map((event) => event.eventId)),
            arrayOf(due.map((event) => event.count)),
          ]),
      details.length === 0 ? NO_ROWS : send<DetailsRow>(readDetails, [arrayOf(details)]),
    ])
  const [first] = stored.rows
  return {
    nowMs: Math.floor(first?.now_ms ?? Number.NaN),
    events: events.rows.map(eventOfRow),
    claims: claims.rows.map(claimOfRow),
    heads: queue.rows.map((row) => ({
      eventId: Number(row.event_id),
      sequence: Number(row.sequence),
      userId: row.user_id,
    })),
    stored: stored.rows
      .filter((row) => row.command_id !== null)
      .map((row) => ({ commandId: row.command_id, outcome: outcomeOfRow(row) })),
    forgotten: first?.forgotten ?? [],
    keys: keyed.rows.map(keyOfRow),
    lapsed: lapsed.rows.map((row) => ({
      eventId: Number(row.event_id),
      sequence: Number(row.sequence),
      userId: row.user_id,
      lapsedAtMs: row.canceled_at,
    })),
    due: dueClaims.rows.map((row) => ({
      eventId: Number(row.event_id),
      kind: row.kind,
      sequence: Number(row.sequence),
      userId: row.user_id,
      expiresAtMs: row.expires_at,
    })),
    expiring: expiring.rows.map((row) => ({
      eventId: Number(row.event_id),
      sequence: Number(row.sequence),
      userId: row.user_id,
      heldAtMs: row.held_at,
      expiresAtMs: row.expires_at,
    })),
    details: settings.rows.map(detailsOfRow),
  }
}

const COUNTERS = [
  'eventId',
  'capacity',
  'totalTickets',
  'availableTickets',
  'heldCount',
  'waitingCount',
  'lastSequence',
  'waitlistHeadSequence',
  'lastChange',
] as const
type Counter = (typeof COUNTERS)[number]

/** The driver returns a `bigint` as text. An operator may have widened an integer column to one. */
type EventColumns = Omit<EventRow, Counter> & Record<Counter, string | number>

/** The columns of the command are null if nothing is stored. */
type StoredRow = CommandRow & { now_ms: number; forgotten: string[] }

/** The columns of the hold are null if the claim is not a hold. */
interface ClaimRow {
  event_id: string
  user_id: string
  kind: ClaimKind
  sequence: string
  position: string | null
  held_at: number
  hold_seconds: number
  expires_at: number
  canceled_at: number
  promoted: boolean
}

type HeadRow = Pick<ClaimRow, 'event_id' | 'sequence' | 'user_id'>

type LapsedRow = HeadRow & { canceled_at: number }

type ExpiringRow = HeadRow & { held_at: number; expires_at: number }

type DueRow = HeadRow & { kind: LiveKind; expires_at: number | null }

type DetailsRow = EventDetails & { event_id: string; owner: string | null }

type KeyRow = CommandRow & { key_hash: string; request_hash: string | null; created_at: Date }

function eventOfRow(row: EventColumns): EventRow {
  for (const counter of COUNTERS) row[counter] = Number(row[counter])
  return row as EventRow
}

function claimOfRow(row: ClaimRow): LoadedClaim {
  const claim = {
    eventId: Number(row.event_id),
    userId: row.user_id,
    sequence: Number(row.sequence),
  }
  const { kind } = row
  switch (kind) {
    case 'booking':
      return { ...claim, kind }
    case 'waiting':
      return { ...claim, kind, position: row.position === null ? null : Number(row.position) }
    case 'held': {
      const { held_at: heldAtMs, hold_seconds: holdSeconds, expires_at: expiresAtMs } = row
      return { ...claim, kind, heldAtMs, holdSeconds, expiresAtMs, offered: row.promoted }
    }
    case 'lapsed':
      return { ...claim, kind, lapsedAtMs: row.canceled_at }
  }
}

function detailsOfRow({ event_id, ...details }: DetailsRow): LoadedBatch['details'][number] {
  return { eventId: Number(event_id), ...details }
}

function keyOfRow(row: KeyRow): LoadedBatch['keys'][number] {
  const command = commandOfRow(row)
  return {
    command: row.request_hash === null ? command : { ...command, requestHash: row.request_hash },
    keyHash: row.key_hash,
    acceptedAtMs: row.created_at.getTime(),
    outcome: outcomeOfRow(row) as Outcome,
  }
}
