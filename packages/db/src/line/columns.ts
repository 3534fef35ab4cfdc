import {
  bookingIdOf,
  type CommandType,
  type Outcome,
  type OutcomeKind,
  type RefusedOutcome,
} from '@ticket-line/shared'

/** A row of `commands` as node-postgres gives it. */
export interface CommandRow {
  command_id: string
  type: CommandType
  event_id: string
  user_id: string
  caller: string
  outcome: OutcomeKind | 'refused'
  position: number | null
  booking_sequence: string | null
  promoted_user_id: string | null
  replay_of: string | null
  accepted_at: Date
  decided_at: Date
}

/**
 * When the answer of row `c` was decided. One that was given again for its idempotency key is the first one whole, its
 * time included; the row's own time stays for retention, and for where the first is gone.
 */
export const answerDecidedAt = `coalesce((SELECT first.decided_at FROM commands first
  WHERE first.command_id = c.replay_of), c.decided_at) AS decided_at`

/** The stored answer, in the words of the wire. */
export function outcomeOfRow(row: CommandRow): Outcome | RefusedOutcome {
  const decidedAtMs = row.decided_at.getTime()
  if (row.outcome === 'refused') return { outcome: 'refused', decidedAtMs }
  const outcome: Outcome = { outcome: row.outcome, decidedAtMs }
  if (row.position !== null) outcome.position = row.position
  if (row.booking_sequence !== null) {
    outcome.bookingId = bookingIdOf(Number(row.event_id), Number(row.booking_sequence))
  }
  if (row.promoted_user_id !== null) outcome.promotedUserId = row.promoted_user_id
  if (row.replay_of !== null) outcome.replayOf = row.replay_of
  return outcome
}
