import { jobIdOf, MAX_COMMANDS_PER_JOB } from '@ticket-line/shared'
import type { Pool } from 'pg'
import {
  type CommandRow,
  SELECT_COMMAND,
  type StoredCommand,
  storedOfRow,
} from '../line/columns.js'

interface DecisionRow extends CommandRow {
  /** When this command was decided, even if it repeats the outcome of an earlier one. */
  own_decided_at: Date
}

/**
 * The commands of an event that were decided last, the latest first.
 *
 * This reads the commands of the line backward from the last one. If thousands of events share the
 * line, it may read many of them. The statement timeout of the pool limits that.
 */
export async function readRecentDecisions(
  pool: Pool,
  lineName: string,
  eventId: number,
  limit: number,
): Promise<StoredCommand[]> {
  const { rows } = await pool.query<DecisionRow>({
    // '.' separates the line from the rest of the id, and '/' follows '.' in ASCII.
    text: `SELECT ${SELECT_COMMAND}, c.decided_at AS own_decided_at
      FROM commands c WHERE c.command_id > $1 AND c.command_id < $2 AND c.event_id = $3
      ORDER BY c.command_id DESC LIMIT $4`,
    // Within a job, ids do not sort by index. This therefore reads the rows of one full job more.
    values: [`${lineName}.`, `${lineName}/`, eventId, limit + MAX_COMMANDS_PER_JOB],
  })
  return rows.sort(latestFirst).slice(0, limit).map(storedOfRow)
}

function latestFirst(a: DecisionRow, b: DecisionRow): number {
  const byTime = b.own_decided_at.getTime() - a.own_decided_at.getTime()
  if (byTime !== 0) return byTime
  const [jobOfA, jobOfB] = [jobIdOf(a.command_id), jobIdOf(b.command_id)]
  if (jobOfA !== jobOfB) return jobOfA < jobOfB ? 1 : -1
  return indexOf(b) - indexOf(a)
}

function indexOf({ command_id }: CommandRow): number {
  return Number(command_id.slice(command_id.lastIndexOf('.') + 1))
}
