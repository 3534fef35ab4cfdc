import {
  type Command,
  type CommandRequest,
  commandIdOf,
  IDEMPOTENCY_KEY_MS,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import type pg from 'pg'
import { answerDecidedAt, type CommandRow, outcomeOfRow } from './columns.js'
import { lendClient } from './lend-client.js'
import {
  type KeyRow,
  keyOfRow,
  type LoadedBatch,
  readKeys,
  readStored,
  type StoredRow,
  valuesOfJobs,
  valuesOfKeys,
} from './load.js'
import type { Statement } from './statement.js'
import { type BatchWrites, commitBatch } from './write.js'

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
export async function findStoredCommands(
  pool: pg.Pool,
  commandIds: string[],
): Promise<StoredCommand[]> {
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
 * Records a command as `rejected` because it repeatedly failed or killed its workers. Its event
 * does not change and is not even read, because one of its rows may be the cause. The command keeps
 * its idempotency key, so that a repeat of it is answered and not started. If the key already has
 * an answer, that answer is recorded instead, as for any other repeat.
 *
 * @returns the stored answer: `rejected`, the first answer of its key, or what was decided in the
 * meantime
 * @throws the driver's error. After a unique violation call it again: a concurrent command took the
 * key
 */
export async function recordRejected(
  pool: pg.Pool,
  command: Command,
  acceptedAtMs: number,
): Promise<Outcome | RefusedOutcome> {
  return lendClient(pool, async (client) => {
    await client.query('BEGIN')
    const { commandId, caller, keyHash } = command
    const jobId = commandId.slice(0, commandId.lastIndexOf('.'))
    const storedRows = await rowsOf<StoredRow>(client, readStored, valuesOfJobs([jobId]))
    const stored = storedRows.find((row) => row.command_id === commandId)
    if (stored !== undefined) {
      await client.query('ROLLBACK')
      return outcomeOfRow(stored)
    }
    const nowMs = Math.floor(storedRows[0]?.now_ms ?? Number.NaN)
    const [key] =
      keyHash === undefined
        ? []
        : await rowsOf<KeyRow>(client, readKeys, valuesOfKeys([{ caller, keyHash }]))
    const outcome = rejectionOf(command, acceptedAtMs, nowMs, key && keyOfRow(key))
    const ownsKey =
      keyHash !== undefined && outcome.outcome === 'rejected' && outcome.replayOf === undefined
    await commitBatch(client, writesOfOne({ command, outcome, ownsKey, acceptedAtMs }, nowMs))
    return outcome
  })
}

/** The answer to a command that cannot be decided: `rejected`, unless its key has an answer. */
function rejectionOf(
  command: Command,
  acceptedAtMs: number,
  nowMs: number,
  first: LoadedBatch['keys'][number] | undefined,
): Outcome {
  const rejected: Outcome = { outcome: 'rejected', decidedAtMs: nowMs }
  if (first === undefined || acceptedAtMs - first.createdAtMs >= IDEMPOTENCY_KEY_MS) return rejected
  const same =
    first.type === command.type &&
    first.eventId === command.eventId &&
    first.userId === command.userId
  if (!same) return { ...rejected, outcome: 'idempotency_key_reused' }
  return { ...first.outcome, replayOf: first.commandId }
}

function writesOfOne(decided: BatchWrites['decided'][number], nowMs: number): BatchWrites {
  return {
    events: [],
    claimsAdded: [],
    claimsMoved: [],
    claimsRemoved: [],
    bookingsAdded: [],
    bookingsCanceled: [],
    entriesAdded: [],
    entriesLeft: [],
    blocks: [],
    decided: [decided],
    nowMs,
  }
}

async function rowsOf<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  { name, text }: Statement,
  values: unknown[],
): Promise<Row[]> {
  return (await client.query<Row>({ name, text, values })).rows
}
