import type { Pool } from 'pg'
import type { CommandRow } from '../line/columns.js'
import { type StoredCommand, storedOfRow } from '../line/stored-commands.js'

/** Beyond the limit by as many commands as one job holds: within a job ids do not sort by index. */
const MARGIN = 256

/**
 * The last decided commands of an event, latest first. Reads the stretch of ids that belongs to the line, from its end.
 * In a line shared by thousands of events that stretch may be long: the statement timeout of the pool bounds it.
 */
export async function readRecentDecisions(
  pool: Pool,
  lineName: string,
  eventId: number,
  limit: number,
): Promise<StoredCommand[]> {
  const { rows } = await pool.query<CommandRow>({
    // '.' separates the line from the rest of the id and '/' follows it in ASCII.
    text: `SELECT command_id, type, event_id, user_id, caller, outcome, position, booking_sequence, promoted_user_id,
        replay_of, accepted_at, decided_at
      FROM commands WHERE command_id > $1 AND command_id < $2 AND event_id = $3
      ORDER BY command_id DESC LIMIT $4`,
    values: [`${lineName}.`, `${lineName}/`, eventId, limit + MARGIN],
  })
  const place = (id: string): number => Number(id.slice(id.lastIndexOf('.') + 1))
  return rows
    .sort(
      (a, b) =>
        b.decided_at.getTime() - a.decided_at.getTime() ||
        (jobOf(a) < jobOf(b)
          ? 1
          : jobOf(a) > jobOf(b)
            ? -1
            : place(b.command_id) - place(a.command_id)),
    )
    .slice(0, limit)
    .map(storedOfRow)
}

function jobOf(row: CommandRow): string {
  return row.command_id.slice(0, row.command_id.lastIndexOf('.'))
}
