import { LIVE_ROWS, type PromiseCheck, wanted } from './check.js'

/** The claims of users. */
export const claimChecks: PromiseCheck[] = [
  {
    name: 'one_claim_each',
    promise: 'each user has at most one booking, hold or waiting-list entry for an event',
    text: `SELECT event_id, format('%s holds %s', user_id, string_agg(kind || ' ' || sequence, ', ')) AS detail
      FROM (${LIVE_ROWS}) live GROUP BY event_id, user_id HAVING count(*) > 1`,
  },
  {
    name: 'claims_match_rows',
    promise:
      'each claim has its live booking, hold or waiting-list entry, and each of those has its claim',
    text: `SELECT event_id, format('%s of %s, number %s, has no %s', kind, user_id, sequence,
          CASE WHEN row_found THEN 'claim' ELSE 'live row' END) AS detail
      FROM (
        SELECT event_id, user_id, kind, sequence, l.found IS TRUE AS row_found, c.found IS TRUE AS claim_found
        FROM (SELECT *, true AS found FROM (${LIVE_ROWS}) rows) l
        FULL JOIN (SELECT *, true AS found FROM claims WHERE kind <> 'lapsed' AND ${wanted('event_id')}) c
          USING (event_id, user_id, kind, sequence)
      ) both_sides WHERE NOT (row_found AND claim_found)`,
  },
  {
    name: 'lapsed_claims_match_holds',
    promise: 'each claim that can be confirmed late has a hold of its user that lapsed',
    text: `SELECT c.event_id, format('lapsed of %s, number %s: %s', c.user_id, c.sequence,
          coalesce(b.user_id || ', ' || b.status, 'no hold')) AS detail
      FROM claims c LEFT JOIN bookings b ON b.event_id = c.event_id AND b.sequence = c.sequence
      WHERE c.kind = 'lapsed' AND ${wanted('c.event_id')}
        AND (b.user_id IS DISTINCT FROM c.user_id OR b.status IS DISTINCT FROM 'expired')`,
  },
  {
    name: 'events_known',
    promise: 'each row belongs to an event',
    text: `SELECT event_id, format('%s rows without an event', count(*)) AS detail
      FROM (
        SELECT event_id FROM bookings UNION ALL SELECT event_id FROM waitlist_entries
        UNION ALL SELECT event_id FROM claims UNION ALL SELECT event_id FROM waitlist_blocks
      ) r
      WHERE ${wanted('event_id')} AND NOT EXISTS (SELECT FROM events e WHERE e.event_id = r.event_id)
      GROUP BY event_id`,
  },
]
