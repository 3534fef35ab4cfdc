import { WAITLIST_BLOCK_SIZE } from '@ticket-line/shared'

/**
 * SQL that counts the waiting entries of an event up to and including a sequence number.
 *
 * It sums the counts of whole blocks and scans only the last block. In a list of a million, it
 * reads at most 1,000 small rows and 1,024 entries instead of half a million entries. No entry
 * before `head` is waiting, so earlier blocks are left out.
 *
 * @param eventId SQL of the event
 * @param head SQL of `events.waitlist_head_sequence`
 * @param sequence SQL of the sequence number
 */
export function countWaitingUpTo(eventId: string, head: string, sequence: string): string {
  return `(
    coalesce((
      SELECT sum(b.waiting_count) FROM waitlist_blocks b
      WHERE b.event_id = ${eventId} AND b.block >= (${head}) / ${WAITLIST_BLOCK_SIZE}
        AND b.block < (${sequence}) / ${WAITLIST_BLOCK_SIZE}
    ), 0)
    + (
      SELECT count(*) FROM waitlist_entries w
      WHERE w.event_id = ${eventId} AND w.sequence >= (${sequence}) / ${WAITLIST_BLOCK_SIZE} * ${WAITLIST_BLOCK_SIZE}
        AND w.sequence <= (${sequence}) AND w.status = 'waiting'
    )
  )::integer`
}
