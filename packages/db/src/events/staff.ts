import type { Pool, PoolClient } from 'pg'
import { type CommitProgress, commitUnlessLate } from '../commit-unless-late.js'

/** What decides who is staff of an event. Admins are staff of every event. */
export interface EventStaff {
  /** The user who owns it; null for an event without an owner. */
  owner: string | null
  /** True if it has no owner, and all organizers are its staff. */
  shared: boolean
  /** The users in its list of organizers, in the order of the list. */
  organizers: readonly string[]
}

/**
 * SQL that is true if a user is staff of an event, and null or false otherwise.
 *
 * @param event the alias of a row of `events`
 * @param user SQL of the user's id
 * @param role SQL of the user's role
 */
export function isStaffSql(event: string, user: string, role: string): string {
  return `(${role} = 'admin' OR (${role} = 'organizer' AND (${event}.owner = ${user}
    OR (${event}.owner IS NULL AND ${event}.shared)
    OR EXISTS (SELECT FROM event_organizers o
      WHERE o.event_id = ${event}.event_id AND o.user_id = ${user}))))`
}

const STAFF = `SELECT e.event_id, e.owner, e.owner IS NULL AND e.shared AS shared,
    ARRAY(SELECT o.user_id FROM event_organizers o WHERE o.event_id = e.event_id
      ORDER BY o.position) AS organizers
  FROM events e WHERE e.event_id = ANY($1::bigint[])`

type StaffRow = { event_id: string; owner: string | null; shared: boolean; organizers: string[] }

/** Reads who is staff of these events, by id. Events that do not exist are left out. */
export async function readEventStaff(
  pool: Pool | PoolClient,
  eventIds: readonly number[],
): Promise<Map<number, EventStaff>> {
  const { rows } = await pool.query<StaffRow>({
    name: 'reads_event_staff',
    text: STAFF,
    values: [eventIds],
  })
  return new Map(
    rows.map(({ event_id, owner, shared, organizers }) => [
      Number(event_id),
      { owner, shared, organizers },
    ]),
  )
}

/** How a change of an event's staff ended. */
export type StaffChange = 'changed' | 'forbidden' | 'not_found'

/** Called with the staff of the event while its row is locked. False refuses the change. */
export type MayChangeStaff = (staff: EventStaff) => boolean

/** Replaces the list of organizers of an event. */
export async function setEventOrganizers(
  pool: Pool,
  eventId: number,
  userIds: readonly string[],
  mayChange: MayChangeStaff,
  progress: CommitProgress,
): Promise<StaffChange> {
  return changeStaff(pool, eventId, mayChange, progress, async (client) => {
    await client.query(
      'DELETE FROM event_organizers WHERE event_id = $1 AND user_id <> ALL ($2::text[])',
      [eventId, userIds],
    )
    await client.query(
      `INSERT INTO event_organizers AS o (event_id, user_id, position)
       SELECT $1, u.id, u.position FROM unnest($2::text[]) WITH ORDINALITY AS u (id, position)
       ON CONFLICT (event_id, user_id) DO UPDATE SET position = excluded.position
       WHERE o.position <> excluded.position`,
      [eventId, userIds],
    )
  })
}

/** Gives an event to a user. It is then no longer open to all organizers. */
export async function setEventOwner(
  pool: Pool,
  eventId: number,
  owner: string,
  mayChange: MayChangeStaff,
  progress: CommitProgress,
): Promise<StaffChange> {
  return changeStaff(pool, eventId, mayChange, progress, async (client) => {
    await client.query('UPDATE events SET owner = $2, shared = false WHERE event_id = $1', [
      eventId,
      owner,
    ])
  })
}

async function changeStaff(
  pool: Pool,
  eventId: number,
  mayChange: MayChangeStaff,
  progress: CommitProgress,
  change: (client: PoolClient) => Promise<void>,
): Promise<StaffChange> {
  return commitUnlessLate(pool, progress, async (client) => {
    // A statement of its own reads the staff. The one that waits for the lock has a snapshot from
    // before the wait.
    await client.query('SELECT FROM events WHERE event_id = $1 FOR NO KEY UPDATE', [eventId])
    const staff = (await readEventStaff(client, [eventId])).get(eventId)
    if (staff === undefined) return 'not_found'
    if (!mayChange(staff)) return 'forbidden'
    await change(client)
    return 'changed'
  })
}
