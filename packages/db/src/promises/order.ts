import { type PromiseCheck, wanted } from './check.js'

const PROMOTIONS = `
  SELECT event_id, user_id, sequence, row_number() OVER (PARTITION BY event_id ORDER BY sequence) AS nth`

/** The promoted entries and the bookings that they became, paired in order. */
const PAIRED = `
  SELECT event_id, nth, w.sequence AS entry_sequence, w.user_id AS entry_user, b.sequence AS booking_sequence,
    b.user_id AS booking_user
  FROM (${PROMOTIONS} FROM waitlist_entries WHERE status = 'promoted' AND ${wanted('event_id')}) w
  FULL JOIN (${PROMOTIONS} FROM bookings WHERE promoted AND ${wanted('event_id')}) b USING (event_id, nth)`

/**
 * First come, first served, except for the tickets that staff granted. Bookings and waiting-list
 * entries have one sequence of numbers, in the order of decisions, and a promotion gets a number of
 * its own. The checks compare these numbers, not times.
 */
export const orderChecks: PromiseCheck[] = [
  {
    name: 'numbers_given_once',
    promise:
      'each number of an event up to its last one belongs to one booking or waiting-list entry',
    text: `SELECT event_id, format('last number %s, %s rows, %s numbers from %s to %s', last_sequence, rows, numbers,
          lowest, highest) AS detail
      FROM (
        SELECT e.event_id, e.last_sequence, count(r.sequence) AS rows, count(DISTINCT r.sequence) AS numbers,
          coalesce(min(r.sequence), 1) AS lowest, coalesce(max(r.sequence), 0) AS highest
        FROM events e
        LEFT JOIN (
          SELECT event_id, sequence FROM bookings UNION ALL SELECT event_id, sequence FROM waitlist_entries
        ) r USING (event_id)
        WHERE ${wanted('e.event_id')} GROUP BY e.event_id
      ) c
      WHERE rows <> last_sequence OR numbers <> rows OR lowest <> 1 OR highest <> last_sequence`,
  },
  {
    name: 'promoted_in_order',
    promise: 'tickets that became free went to waiting-list entries in the order of the list',
    text: `SELECT event_id, format('promotion %s: entry %s of %s, booking %s of %s', nth, entry_sequence, entry_user,
          booking_sequence, booking_user) AS detail
      FROM (${PAIRED}) p
      WHERE entry_user IS DISTINCT FROM booking_user OR booking_sequence < entry_sequence`,
  },
  {
    name: 'nobody_passed_over',
    promise: 'no waiting entry is older than a booking that was not granted, or a promoted entry',
    text: `SELECT event_id, format('number %s waits, number %s was served', first_waiting, last_served) AS detail
      FROM (
        SELECT event_id, min(sequence) AS first_waiting FROM waitlist_entries
        WHERE status = 'waiting' AND ${wanted('event_id')} GROUP BY event_id
      ) w
      JOIN (
        SELECT event_id, max(sequence) AS last_served FROM (
          SELECT event_id, sequence FROM bookings WHERE NOT promoted AND NOT granted
          UNION ALL SELECT event_id, sequence FROM waitlist_entries WHERE status = 'promoted'
        ) served GROUP BY event_id
      ) s USING (event_id)
      WHERE first_waiting < last_served`,
  },
  // `arrivals` has the bookings that did not come from the waiting list (`straight`) and the
  // promoted entries, in the order of their numbers. The promotion of an entry has the number of
  // the booking that it made. For each arrival, `promoted_at_most` is the highest promotion number
  // of the entries that came before. If it is higher than the number of a straight booking, that
  // booking was made while the entry was waiting: it overtook the entry.
  {
    name: 'nobody_overtaken',
    promise: 'no booking was made at once while an entry that was promoted later was waiting',
    text: `SELECT event_id, format('booking %s of %s came before the promotion %s', sequence, user_id, promoted_at_most)
          AS detail
      FROM (
        SELECT event_id, sequence, user_id, straight,
          max(booking_sequence) OVER (PARTITION BY event_id ORDER BY sequence) AS promoted_at_most
        FROM (
          SELECT event_id, sequence, user_id, true AS straight, NULL::bigint AS booking_sequence
          FROM bookings WHERE NOT promoted AND NOT granted AND ${wanted('event_id')}
          UNION ALL
          SELECT event_id, entry_sequence, entry_user, false, booking_sequence FROM (${PAIRED}) p
        ) arrivals
      ) o
      WHERE straight AND promoted_at_most > sequence`,
  },
  {
    name: 'head_not_too_far',
    promise:
      'no waiting entry, and no live claim of a canceled event, has a number before the one at which its search begins',
    text: `SELECT r.event_id, format('number %s waits, the search begins at %s', min(r.sequence),
          e.waitlist_head_sequence) AS detail
      FROM (
        SELECT event_id, sequence, true AS waits FROM waitlist_entries WHERE status = 'waiting'
        UNION ALL SELECT event_id, sequence, false FROM bookings WHERE status IN ('confirmed', 'held')
      ) r JOIN events e USING (event_id)
      WHERE (r.waits OR e.canceled_at IS NOT NULL) AND r.sequence < e.waitlist_head_sequence
        AND ${wanted('r.event_id')}
      GROUP BY r.event_id, e.waitlist_head_sequence`,
  },
  {
    name: 'times_complete',
    promise: 'only bookings and entries that have ended have an end time, and all of those do',
    text: `SELECT event_id, format('%s %s is %s', what, sequence, status) AS detail
      FROM (
        SELECT event_id, 'booking' AS what, sequence, status,
          (canceled_at IS NULL) = (status IN ('confirmed', 'held')) AS fits
        FROM bookings
        UNION ALL
        SELECT event_id, 'entry', sequence, status, (left_at IS NULL) = (status = 'waiting') FROM waitlist_entries
      ) r WHERE NOT fits AND ${wanted('event_id')}`,
  },
]
