import { type CommandRequest, commandIdOf, type StoredOutcome } from '@ticket-line/shared'
import type { Pool } from 'pg'
import {
  ABANDONED_IN_COLUMN,
  type CommandRow,
  REQUEST_COLUMNS,
  requestArraysOf,
  requestOperands,
  SELECT_COMMAND,
  type StoredCommand,
  storedOfRow,
} from './columns.js'

/**
 * Finds decided commands by their ids.
 *
 * @returns them in no order. Commands that are not decided, or were pruned, are left out
 */
export async function findStoredCommands(
  pool: Pool,
  commandIds: string[],
): Promise<StoredCommand[]> {
  const { rows } = await pool.query<CommandRow>({
    name: 'outcomes_find',
    text: `SELECT ${SELECT_COMMAND} FROM commands c WHERE c.command_id = ANY($1::text[])`,
    values: [commandIds],
  })
  return rows.map(storedOfRow)
}

/** A job that an API process could not store. */
export interface AbandonedJob {
  jobId: string
  acceptedAtMs: number
  commands: CommandRequest[]
}

/**
 * Records that the commands of a job are abandoned: the API then answers that they were not
 * accepted. If the job arrives after all, it changes nothing. A command that was decided in the
 * meantime keeps its outcome.
 *
 * @returns the stored outcome of every command, by id: `abandoned`, or what was decided first
 */
export async function recordAbandoned(
  pool: Pool,
  job: AbandonedJob,
): Promise<Map<string, StoredOutcome>> {
  const { commands } = job
  const commandIds = commands.map((_, index) => commandIdOf(job.jobId, index))
  await pool.query({
    name: 'outcomes_abandon',
    text: `INSERT INTO commands (command_id, ${REQUEST_COLUMNS.join(', ')}, outcome, accepted_at, decided_at)
      SELECT n.*, '${ABANDONED_IN_COLUMN}', $1, clock_timestamp() FROM unnest($2::text[], ${requestOperands(3)}) AS n
      ON CONFLICT (command_id) DO NOTHING`,
    values: [new Date(job.acceptedAtMs), commandIds, ...requestArraysOf(commands)],
  })
  const stored = await findStoredCommands(pool, commandIds)
  return new Map(stored.map((row) => [row.command.commandId, row.outcome]))
}

/**
 * How far the clock of an API process may be ahead of PostgreSQL's without effect on pruning, ms.
 */
export const CLOCK_SLACK_MS = 3_600_000

/**
 * True if a job is older than outcomes of its line that pruning removed. If such a job has no
 * outcome, it may have been decided long ago: it then comes from a Redis that was restored from an
 * old copy.
 *
 * @param createdAtMs when the job was made, by the clock of an API process, ms since 1970
 */
export async function isBeforePruning(
  pool: Pool,
  lineName: string,
  createdAtMs: number,
): Promise<boolean> {
  const { rows } = await pool.query<{ before: boolean }>({
    name: 'line_is_before_pruning',
    text: `SELECT to_timestamp($2::float8 / 1000) <= decided_before AS before
      FROM pruned_lines WHERE line_name = $1`,
    values: [lineName, createdAtMs - CLOCK_SLACK_MS],
  })
  return rows[0]?.before === true
}
