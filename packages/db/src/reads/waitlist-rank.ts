/**
 * SQL for "how many of the event `$1` wait up to and with this sequence number".
 *
 * The counts of whole blocks are summed and only the own block is scanned: 1,000 small rows and 1,024 entries at most
 * in a list of a million, where counting entries would read half a million. No entry before `head` still waits, so
 * blocks before it are left out however long the event has been going on.
 * @param head SQL of `events.waitlist_head_sequence`
 * @param sequence SQL of the sequence number
 */
export function waitingUpTo(head: string, sequence: string): string {
  return `(
    coalesce((
      SELECT sum(b.waiting_count) FROM waitlist_blocks b
      WHERE b.event_id = $1 AND b.block >= (${head}) / 1024 AND b.block < (${sequence}) / 1024
    ), 0)
    + (
      SELECT count(*) FROM waitlist_entries w
      WHERE w.event_id = $1 AND w.sequence >= (${sequence}) / 1024 * 1024 AND w.sequence <= (${sequence})
        AND w.status = 'waiting'
    )
  )::integer`
}
