import {
  bookingIdOf,
  type CommandType,
  type Outcome,
  type OutcomeKind,
  type PublicCommand,
  type PublicRequest,
  type StoredOutcome,
} from '@ticket-line/shared'
import type { StoredOutcomeData } from '../schema.js'

/** What the column `outcome` has for an abandoned command. */
export const ABANDONED_IN_COLUMN = 'refused'

/** A row of `commands` as node-postgres returns it. */
export interface CommandRow {
  command_id: string
  type: CommandType
  event_id: string
  user_id: string
  caller: string
  outcome: OutcomeKind | typeof ABANDONED_IN_COLUMN
  position: number | null
  booking_sequence: string | null
  promoted_user_id: string | null
  data: StoredOutcomeData | null
  replay_of: string | null
  accepted_at: Date
  decided_at: Date
}

const COLUMNS = [
  'command_id',
  'type',
  'event_id',
  'user_id',
  'caller',
  'idempotency_key',
  'outcome',
  'position',
  'booking_sequence',
  'promoted_user_id',
  'data',
  'replay_of',
  'accepted_at',
  'decided_at',
] as const

/** The columns of `commands`, in the order in which the decided ones are inserted. */
export const COMMAND_COLUMNS = COLUMNS.join(', ')

/** The columns of a {@link PublicRequest}: name, type and value of each. */
const REQUEST: [column: string, type: string, value: (request: PublicRequest) => unknown][] = [
  ['type', 'text', (request) => request.type],
  ['event_id', 'bigint', (request) => request.eventId],
  ['user_id', 'text', (request) => request.userId],
  ['caller', 'text', (request) => request.caller],
]

export const REQUEST_COLUMNS = REQUEST.map(([column]) => column)

/** The operands of `unnest` for {@link requestArraysOf}: the parameters from `$first` on. */
export function requestOperands(first: number): string {
  return REQUEST.map(([, type], index) => `$${first + index}::${type}[]`).join(', ')
}

/** The values of requests, as one array per column. */
export function requestArraysOf(requests: readonly PublicRequest[]): unknown[][] {
  return REQUEST.map(([, , value]) => requests.map(value))
}

/**
 * The columns of row `c` of `commands`, for a {@link CommandRow}. A command that repeated an
 * idempotency key has the answer of the first command with the key, including its time. Its own
 * time stays in the row: retention needs it, and so do reads after the first command was pruned.
 */
export const SELECT_COMMAND = COLUMNS.map((column) =>
  column === 'decided_at'
    ? `coalesce((SELECT first.decided_at FROM commands first
        WHERE first.command_id = c.replay_of), c.decided_at) AS decided_at`
    : `c.${column}`,
).join(', ')

/** A command with its stored outcome. */
export interface StoredCommand {
  command: PublicCommand
  /** When its request was accepted, ms since 1970. */
  acceptedAtMs: number
  outcome: StoredOutcome
}

export function storedOfRow(row: CommandRow): StoredCommand {
  return {
    command: commandOfRow(row),
    acceptedAtMs: row.accepted_at.getTime(),
    outcome: outcomeOfRow(row),
  }
}

export function commandOfRow(row: CommandRow): PublicCommand {
  return {
    commandId: row.command_id,
    type: row.type,
    eventId: Number(row.event_id),
    userId: row.user_id,
    caller: row.caller,
  }
}

/** The outcome that a row stores. */
export function outcomeOfRow(row: CommandRow): StoredOutcome {
  const decidedAtMs = row.decided_at.getTime()
  if (row.outcome === ABANDONED_IN_COLUMN) return { outcome: 'abandoned', decidedAtMs }
  const outcome: Outcome = { outcome: row.outcome, decidedAtMs }
  if (row.position !== null) outcome.position = row.position
  if (row.booking_sequence !== null) {
    outcome.bookingId = bookingIdOf(Number(row.event_id), Number(row.booking_sequence))
  }
  if (row.promoted_user_id !== null) outcome.promotedUserId = row.promoted_user_id
  if (row.data !== null) Object.assign(outcome, row.data)
  if (row.replay_of !== null) outcome.replayOf = row.replay_of
  return outcome
}

/** The JSON of `commands.data` for an outcome; null if it has only members with columns. */
export function dataOf({ expiresAtMs, event, opensAtMs, committed }: Outcome): string | null {
  if ((expiresAtMs ?? event ?? opensAtMs ?? committed) === undefined) return null
  const data = { expiresAtMs, event, opensAtMs, committed }
  // The JSON leaves out what is undefined. The compiler requires all members here.
  return JSON.stringify(data satisfies Record<keyof StoredOutcomeData, unknown>)
}
