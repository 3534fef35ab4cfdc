import { isInState } from '../events/sale-state.js'
import { type PromiseCheck, wanted } from './check.js'

/** A `timestamptz` can be a microsecond away from the decision, which computes in ms. */
const SLACK = `interval '1 millisecond'`

/** The sizes and deadlines of events, their holds and their grants. */
export const circulationChecks: PromiseCheck[] = [
  {
    name: 'size_within_capacity',
    promise: 'no ticket is free in an event that has more tickets than its organizer wants',
    text: `SELECT event_id,
        format('%s of %s tickets are free, and it should have %s', available_tickets, total_tickets, capacity) AS detail
      FROM events WHERE total_tickets > capacity AND available_tickets > 0 AND ${wanted('event_id')}`,
  },
  {
    name: 'nothing_free_once_canceled',
    promise: 'no ticket of a canceled event is free',
    text: `SELECT event_id, format('%s tickets are free', available_tickets) AS detail
      FROM events WHERE canceled_at IS NOT NULL AND available_tickets > 0 AND ${wanted('event_id')}`,
  },
  {
    name: 'withheld_only_while_waiting',
    promise: 'tickets are withheld only while somebody is on the waiting list',
    text: `SELECT event_id, format('%s of %s tickets are withheld', capacity - total_tickets, capacity) AS detail
      FROM events
      WHERE canceled_at IS NULL AND capacity > total_tickets AND waiting_count = 0 AND ${wanted('event_id')}`,
  },
  // `due` is when a settle would change something. Without a command, promotion becomes possible
  // only when the sale opens.
  {
    name: 'due_in_time',
    promise: 'a settle is planned for the time at which it has something to do, or earlier',
    text: `SELECT event_id, format('due at %s, planned for %s', due, coalesce(due_at::text, 'never')) AS detail
      FROM (
        SELECT e.event_id, e.due_at, least(
          (SELECT min(expires_at) FROM bookings b
            WHERE b.event_id = e.event_id AND b.status = 'held' AND e.canceled_at IS NULL),
          CASE WHEN e.canceled_at IS NOT NULL AND e.total_tickets + e.waiting_count > 0 THEN now()
            WHEN e.capacity > e.total_tickets AND e.waiting_count > 0 AND e.promoting
              AND ${isInState('open', 'greatest(now(), e.opens_at)', 'e.')}
            THEN greatest(now(), e.opens_at) END) AS due
        FROM events e WHERE ${wanted('e.event_id')}
      ) d WHERE due IS NOT NULL AND (due_at IS NULL OR due_at > due + ${SLACK})`,
  },
  {
    name: 'holds_have_deadlines',
    promise: 'each hold has a deadline, at least its first length after it began',
    text: `SELECT event_id, format('hold %s of %s, for %s s since %s, until %s', sequence, user_id, hold_seconds,
          held_at, expires_at) AS detail
      FROM bookings
      WHERE (status IN ('held', 'expired') OR num_nonnulls(held_at, hold_seconds, expires_at, confirmed_at) > 0)
        AND (expires_at >= held_at + hold_seconds * interval '1 second' - ${SLACK}) IS NOT TRUE
        AND ${wanted('event_id')}`,
  },
  {
    name: 'held_until_deadline',
    promise: 'no hold lapsed before its deadline, and none became a booking without a confirmation',
    text: `SELECT event_id, format('hold %s of %s until %s: %s at %s', sequence, user_id, expires_at, status,
          coalesce(canceled_at, confirmed_at)) AS detail
      FROM bookings
      WHERE held_at IS NOT NULL AND ${wanted('event_id')} AND (
        (status = 'expired' AND canceled_at < expires_at - ${SLACK})
        OR (status = 'confirmed' AND confirmed_at IS NULL)
        OR (status IN ('held', 'expired') AND confirmed_at IS NOT NULL))`,
  },
  {
    name: 'grants_recorded',
    promise:
      'no granted booking is a promotion or was a hold, and each entry that a grant ended has one',
    text: `SELECT event_id, format('%s: %s', user_id, what) AS detail FROM (
        SELECT event_id, user_id, format('booking %s is granted and promoted or held', sequence) AS what
        FROM bookings WHERE granted AND (promoted OR held_at IS NOT NULL)
        UNION ALL
        SELECT w.event_id, w.user_id,
          format('%s entries ended by a grant, %s granted bookings', w.entries, count(b.sequence))
        FROM (
          SELECT event_id, user_id, count(*) AS entries FROM waitlist_entries
          WHERE status = 'granted' AND ${wanted('event_id')} GROUP BY 1, 2
        ) w
        LEFT JOIN bookings b ON b.event_id = w.event_id AND b.user_id = w.user_id AND b.granted
        GROUP BY w.event_id, w.user_id, w.entries HAVING count(b.sequence) < w.entries
      ) g WHERE ${wanted('event_id')}`,
  },
]
