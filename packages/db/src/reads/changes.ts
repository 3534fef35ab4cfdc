import type { ChangeType, LoggedChange } from '@ticket-line/shared'
import type { Pool, PoolClient } from 'pg'
import { msOf } from '../sql-times.js'

/** Which changes of an event to read. */
export interface ChangeRange {
  eventId: number
  /** Number of the change before the first one; 0 to begin with the first change. */
  after: number
  /** Maximum number of changes. */
  limit: number
  /** The types to read; undefined for all. */
  types?: readonly ChangeType[] | undefined
}

/**
 * Changes of an event in order of decision, and the state of its log. All come from one snapshot.
 */
export interface ChangePage {
  changes: LoggedChange[]
  /** The number of the last change that was looked at, whatever its type. */
  next: number
  /** The number of the event's last change. */
  lastChange: number
  /** The number of the oldest change of this event that is not pruned. */
  oldest: number
  /** True if no change of this event was pruned. */
  isWhole: boolean
  /** The epoch of the installation. Numbers of another epoch mean nothing in this one. */
  epoch: string
}

/**
 * How many changes a read looks at, whatever their type. This limits the time of a read that looks
 * for a rare type.
 */
export const CHANGES_LOOKED_AT = 20_000

interface PageRow {
  epoch: string
  last_change: string
  first_change: string
  oldest: string | null
  /** The columns below are null if there is no change in the range. */
  no: string | null
  type: ChangeType
  at_ms: number
  user_id: string | null
  sequence: string | null
  actor: string | null
  command_id: string | null
  data: LoggedChange['data']
}

// The query has no name, so that PostgreSQL plans it for the present size of the table. A plan from
// the time when the table was tiny would scan all of it.
const PAGE = `WITH e AS MATERIALIZED (SELECT last_change, first_change FROM events WHERE event_id = $1)
  SELECT (SELECT epoch FROM installation) AS epoch, e.last_change, e.first_change,
    (SELECT no FROM changes WHERE event_id = $1 AND no >= (SELECT first_change FROM e)
      ORDER BY no LIMIT 1) AS oldest,
    c.no, c.type, ${msOf('c.at')} AS at_ms, c.user_id, c.sequence, c.actor, c.command_id, c.data
  FROM e LEFT JOIN LATERAL (
    SELECT * FROM changes
    WHERE event_id = $1 AND no > $2 AND no >= (SELECT first_change FROM e) AND no <= $3
      AND ($4::text[] IS NULL OR type = ANY($4))
    ORDER BY no LIMIT $5
  ) c ON true
  ORDER BY c.no`

/**
 * Reads changes of an event. If the page is full, `next` is the number of its last change.
 * Otherwise it is `CHANGES_LOOKED_AT` after `after`, or the event's last change if that comes
 * first.
 *
 * @returns undefined if there is no such event. An event that was deleted keeps its changes, but
 * nobody can read them, not even if another event gets its id
 */
export async function pageChanges(
  pool: Pool,
  { eventId, after, limit, types }: ChangeRange,
): Promise<ChangePage | undefined> {
  const lookedAt = after + Math.max(CHANGES_LOOKED_AT, limit)
  const { rows } = await pool.query<PageRow>(PAGE, [eventId, after, lookedAt, types ?? null, limit])
  const [first] = rows
  if (first === undefined) return undefined
  const lastChange = Number(first.last_change)
  const changes = first.no === null ? [] : rows.map((row) => changeOfRow(eventId, row))
  const isFull = changes.length === limit
  return {
    changes,
    // The caller refuses an `after` beyond the last change. `next` must not go back then.
    next: isFull ? (changes.at(-1)?.no ?? after) : Math.max(after, Math.min(lookedAt, lastChange)),
    lastChange,
    // An event from before there was a log may have no change. Then none was pruned.
    oldest: first.oldest === null ? lastChange + 1 : Number(first.oldest),
    isWhole: first.oldest === first.first_change,
    epoch: first.epoch,
  }
}

function changeOfRow(eventId: number, row: PageRow): LoggedChange {
  return {
    eventId,
    no: Number(row.no),
    type: row.type,
    atMs: row.at_ms,
    userId: row.user_id,
    sequence: row.sequence === null ? null : Number(row.sequence),
    actor: row.actor,
    commandId: row.command_id,
    data: row.data,
  }
}

/** The numbers of the last changes of events, and the epoch in which they count. */
export interface LastChangesRead {
  epoch: string
  /** By event id. Events that do not exist are left out. */
  lastChanges: Map<number, number>
}

/** Reads the number of the last change of each of these events. */
export async function readLastChanges(
  db: Pool | PoolClient,
  eventIds: number[],
): Promise<LastChangesRead> {
  const { rows } = await db.query<{
    epoch: string
    event_id: string | null
    last_change: string
  }>({
    name: 'reads_last_changes',
    text: `SELECT i.epoch, e.event_id, e.last_change
             FROM installation i LEFT JOIN events e ON e.event_id = ANY($1::bigint[])`,
    values: [eventIds],
  })
  const lastChanges = new Map<number, number>()
  for (const { event_id, last_change } of rows)
    if (event_id !== null) lastChanges.set(Number(event_id), Number(last_change))
  return { epoch: rows[0]?.epoch ?? '', lastChanges }
}
