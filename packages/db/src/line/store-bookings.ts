import { COMMAND_COLUMNS } from './columns.js'

/**
 * SQL that stores bookings of free tickets and everything that belongs to them: the claim, the row
 * of the change log, and the command with its outcome.
 *
 * @param source a CTE with one row per booking: event_id, sequence, no (its number in the log),
 * user_id, command_id, caller, key_hash, accepted_ms
 * @param at SQL of the time of the decision
 * @returns an INSERT of the commands, and the CTEs that insert the rest
 */
export function storeBookings(source: string, at: string): { commands: string; rest: string } {
  return {
    commands: `INSERT INTO commands (${COMMAND_COLUMNS})
      SELECT command_id, 'book', event_id, user_id, caller, key_hash, 'booked', NULL, sequence, NULL, NULL, NULL,
        to_timestamp(accepted_ms / 1000), ${at} FROM ${source}`,
    rest: `claimed AS (
      INSERT INTO claims (event_id, user_id, kind, sequence)
      SELECT event_id, user_id, 'booking', sequence FROM ${source}
    ), listed AS (
      INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
      SELECT event_id, sequence, user_id, 'confirmed', false, ${at} FROM ${source}
    ), logged AS (
      INSERT INTO changes (event_id, no, at, type, user_id, sequence, actor, command_id)
      SELECT event_id, no, ${at}, 'booking.confirmed', user_id, sequence, caller, command_id FROM ${source}
    )`,
  }
}
