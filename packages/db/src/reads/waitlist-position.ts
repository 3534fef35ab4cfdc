import { WAITLIST_BLOCK_SIZE } from '@ticket-line/shared'

/**
 * SQL for "how many of an event wait up to and with this sequence number".
 *
 * The counts of whole blocks are summed and only the own block is scanned: 1,000 small rows and 1,024 entries at most
 * in a list of a million, where counting entries would read half a million. No entry before `head` still waits, so
 * blocks before it are left out however long the event has been going on.
 * @param eventId SQL of the event
 * @param head SQL of `events.waitlist_head_sequence`
 * @param sequence SQL of the sequence number
 */
export function countWaitingUpTo(eventId: string, head: string, sequence: string): string {
  return `(
    coalesce((
      SELECT sum(b.waiting_count) FROM waitlist_blocks b
      WHERE b.event_id = ${eventId} AND b.block >= (${head}) / ${WAITLIST_BLOCK_SIZE} AND b.block < (${sequence}) / ${WAITLIST_BLOCK_SIZE}
    ), 0)
    + (
      SELECT count(*) FROM waitlist_entries w
      WHERE w.event_id = ${eventId} AND w.sequence >= (${sequence}) / ${WAITLIST_BLOCK_SIZE} * ${WAITLIST_BLOCK_SIZE} AND w.sequence <= (${sequence})
        AND w.status = 'waiting'
    )
  )::integer`
}
