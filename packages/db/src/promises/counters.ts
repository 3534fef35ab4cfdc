import { WAITLIST_BLOCK_SIZE } from '@ticket-line/shared'
import { type PromiseCheck, wanted } from './check.js'

const COUNTED = `
  SELECT e.event_id, e.total_tickets, e.available_tickets, e.held_count, e.waiting_count,
    coalesce(b.booked, 0) AS booked, coalesce(b.held, 0) AS held,
    coalesce(b.booked, 0) + coalesce(b.held, 0) AS committed, coalesce(w.waiting, 0) AS waiting
  FROM events e
  LEFT JOIN (
    SELECT event_id, count(*) FILTER (WHERE status = 'confirmed') AS booked,
      count(*) FILTER (WHERE status = 'held') AS held
    FROM bookings WHERE status IN ('confirmed', 'held') GROUP BY event_id
  ) b USING (event_id)
  LEFT JOIN (
    SELECT event_id, count(*) AS waiting FROM waitlist_entries WHERE status = 'waiting' GROUP BY event_id
  ) w USING (event_id)
  WHERE ${wanted('e.event_id')}`

/** The counters of events and blocks, compared with the rows that they count. */
export const counterChecks: PromiseCheck[] = [
  {
    name: 'never_oversold',
    promise: 'no event has more live bookings and holds than tickets',
    text: `SELECT event_id, format('%s bookings and %s holds for %s tickets', booked, held, total_tickets) AS detail
      FROM (${COUNTED}) c WHERE committed > total_tickets`,
  },
  {
    name: 'no_free_ticket_while_waiting',
    promise: 'no waiting-list entry is waiting while a ticket is free',
    text: `SELECT event_id,
        format('%s wait, %s of %s tickets are booked or held', waiting, committed, total_tickets) AS detail
      FROM (${COUNTED}) c WHERE waiting > 0 AND committed < total_tickets`,
  },
  {
    name: 'available_counted',
    promise: 'the number of free tickets is the total minus the live bookings and holds',
    text: `SELECT event_id,
        format('%s free of %s, but %s are booked and %s held', available_tickets, total_tickets, booked, held) AS detail
      FROM (${COUNTED}) c WHERE available_tickets <> total_tickets - committed`,
  },
  {
    name: 'held_counted',
    promise: 'the number of held tickets is the number of holds',
    text: `SELECT event_id, format('%s counted, %s are held', held_count, held) AS detail
      FROM (${COUNTED}) c WHERE held_count <> held`,
  },
  {
    name: 'waiting_counted',
    promise: 'the length of a waiting list is the number of its waiting entries',
    text: `SELECT event_id, format('%s counted, %s wait', waiting_count, waiting) AS detail
      FROM (${COUNTED}) c WHERE waiting_count <> waiting`,
  },
  {
    name: 'blocks_counted',
    promise: 'each block of a waiting list has the number of its waiting entries',
    text: `SELECT event_id, format('block %s counts %s, %s wait', block, counted, waiting) AS detail
      FROM (
        SELECT event_id, block, coalesce(b.waiting_count, 0) AS counted, coalesce(w.waiting, 0) AS waiting
        FROM waitlist_blocks b
        FULL JOIN (
          SELECT event_id, sequence / ${WAITLIST_BLOCK_SIZE} AS block, count(*) AS waiting
          FROM waitlist_entries WHERE status = 'waiting' GROUP BY 1, 2
        ) w USING (event_id, block)
      ) c WHERE counted <> waiting AND ${wanted('event_id')}`,
  },
]
