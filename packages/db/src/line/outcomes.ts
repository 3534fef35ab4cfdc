import {
  type Command,
  type CommandRequest,
  commandIdOf,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import type pg from 'pg'
import { answerDecidedAt, type CommandRow, outcomeOfRow } from './command-row.js'

/** A decided command as a poll reads it. */
export interface StoredCommand {
  command: Omit<Command, 'keyHash'>
  acceptedAtMs: number
  outcome: Outcome | RefusedOutcome
}

const columns = `c.command_id, c.type, c.event_id, c.user_id, c.caller, c.outcome, c.position, c.booking_sequence,
  c.promoted_user_id, c.replay_of, c.accepted_at, ${answerDecidedAt}`

/** The decided command that a row of `commands` holds. */
export function storedOfRow(row: CommandRow): StoredCommand {
  return {
    command: {
      commandId: row.command_id,
      type: row.type,
      eventId: Number(row.event_id),
      userId: row.user_id,
      caller: row.caller,
    },
    acceptedAtMs: row.accepted_at.getTime(),
    outcome: outcomeOfRow(row),
  }
}

/** The stored answers among those ids, in no order. Ids that are not decided (or pruned) are left out. */
export async function findStoredCommands(pool: pg.Pool, commandIds: string[]): Promise<StoredCommand[]> {
  const { rows } = await pool.query<CommandRow>({
    name: 'outcomes_find',
    text: `SELECT ${columns} FROM commands c WHERE c.command_id = ANY($1::text[])`,
    values: [commandIds],
  })
  return rows.map(storedOfRow)
}

/**
 * Records that a job's commands were refused, so that the job changes nothing should it still arrive. A command that
 * was decided in the meantime keeps its outcome.
 * @returns the stored answer of every command, by id: `refused`, or what was decided first
 */
export async function recordRefused(
  pool: pg.Pool,
  job: { jobId: string; acceptedAtMs: number; commands: CommandRequest[] },
): Promise<Map<string, Outcome | RefusedOutcome>> {
  const { commands } = job
  const commandIds = commands.map((_, index) => commandIdOf(job.jobId, index))
  await pool.query({
    name: 'outcomes_refuse',
    text: `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
      SELECT n.*, 'refused', $6, clock_timestamp()
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS n
      ON CONFLICT (command_id) DO NOTHING`,
    values: [
      commandIds,
      commands.map((command) => command.type),
      commands.map((command) => command.eventId),
      commands.map((command) => command.userId),
      commands.map((command) => command.caller),
      new Date(job.acceptedAtMs),
    ],
  })
  const stored = await findStoredCommands(pool, commandIds)
  return new Map(stored.map((row) => [row.command.commandId, row.outcome]))
}

/**
 * Records that a command killed its worker time and again: an answer, and no change. Its idempotency key is kept with
 * it, so that sending it again does not start it again; a key that an older command still holds stays with that one.
 * @returns the stored answer: `rejected`, or what was decided first
 */
export async function recordRejected(
  pool: pg.Pool,
  command: Command,
  acceptedAtMs: number,
): Promise<Outcome | RefusedOutcome> {
  await pool.query({
    name: 'outcomes_reject',
    text: `WITH rejected AS (
        INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
        VALUES ($1, $2, $3, $4, $5, 'rejected', $6, clock_timestamp())
        ON CONFLICT (command_id) DO NOTHING RETURNING command_id, caller, decided_at
      )
      INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at)
      SELECT caller, $7, command_id, decided_at FROM rejected WHERE $7::text IS NOT NULL
      ON CONFLICT (caller, key_hash) DO UPDATE SET command_id = excluded.command_id, created_at = excluded.created_at
        WHERE now() - idempotency_keys.created_at >= interval '24 hours'`,
    values: [
      command.commandId,
      command.type,
      command.eventId,
      command.userId,
      command.caller,
      new Date(acceptedAtMs),
      command.keyHash ?? null,
    ],
  })
  const [stored] = await findStoredCommands(pool, [command.commandId])
  if (stored === undefined) throw new Error(`command ${command.commandId} was recorded but cannot be found`)
  return stored.outcome
}
