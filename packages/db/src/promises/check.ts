/**
 * One thing that must be true of the rows. `text` finds what contradicts it: rows of `event_id` and `detail`, limited to
 * the events of `$1` (`bigint[]`, null for all). Every check reads the same snapshot.
 */
export interface PromiseCheck {
  /** Stable name, for scripts and alerts. */
  name: string
  /** What holds, as a sentence without its full stop. */
  promise: string
  text: string
}

/** SQL: the row belongs to an event that is looked at. */
export const wanted = (column: string): string =>
  `($1::bigint[] IS NULL OR ${column} = ANY ($1::bigint[]))`

/** SQL: everything that somebody holds now, a booking or a place in the list. */
export const LIVE_ROWS = `
  SELECT event_id, user_id, 'booking' AS kind, sequence FROM bookings
    WHERE status = 'confirmed' AND ${wanted('event_id')}
  UNION ALL
  SELECT event_id, user_id, 'waiting', sequence FROM waitlist_entries
    WHERE status = 'waiting' AND ${wanted('event_id')}`
