/** Something that must be true of the rows. All checks of a run read the same snapshot. */
export interface PromiseCheck {
  /** A name for scripts and alerts, which never changes. */
  name: string
  /** What is true, as a sentence without its period. */
  promise: string
  /**
   * SQL that finds contradictions: rows of `event_id` and `detail`, limited to the events in `$1`
   * (`bigint[]`, null for all events).
   */
  text: string
}

/** SQL condition: the row belongs to an event that is checked. */
export const wanted = (column: string): string =>
  `($1::bigint[] IS NULL OR ${column} = ANY ($1::bigint[]))`

/** SQL that reads all live bookings, holds and waiting-list entries. */
export const LIVE_ROWS = `
  SELECT event_id, user_id, CASE status WHEN 'held' THEN 'held' ELSE 'booking' END AS kind, sequence FROM bookings
    WHERE status IN ('confirmed', 'held') AND ${wanted('event_id')}
  UNION ALL
  SELECT event_id, user_id, 'waiting', sequence FROM waitlist_entries
    WHERE status = 'waiting' AND ${wanted('event_id')}`
