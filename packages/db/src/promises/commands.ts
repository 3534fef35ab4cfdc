import {
  IDEMPOTENCY_KEY_HOURS,
  MIN_RETENTION_HOURS,
  OUTCOME_KINDS,
  OUTCOMES,
} from '@ticket-line/shared'
import { REQUEST_COLUMNS } from '../line/columns.js'
import { type PromiseCheck, wanted } from './check.js'

/** Commands that do not repeat the outcome of an idempotency key. */
const FIRST = `SELECT * FROM commands WHERE replay_of IS NULL AND ${wanted('event_id')}`

/**
 * An hour less than the shortest retention. Effects that are younger must have their command; the
 * commands of older ones may have been pruned.
 */
const SURELY_KEPT_HOURS = MIN_RETENTION_HOURS - 1
const SURELY_KEPT = `interval '${SURELY_KEPT_HOURS} hours'`

/** `POST /events` stores its answers as those of a command, see `createConfiguredEvent`. */
const POSSIBLE_CREATIONS = [`('create_event', 'event_created')`, `('create_event', 'event_exists')`]

const POSSIBLE = [
  ...OUTCOME_KINDS.flatMap((kind) => OUTCOMES[kind].types.map((type) => `('${type}', '${kind}')`)),
  ...POSSIBLE_CREATIONS,
].join(', ')

/** SQL of what the command in row `alias` requested. */
function askedOf(alias: string): string {
  return `(${REQUEST_COLUMNS.map((column) => `${alias}.${column}`).join(', ')})`
}

/** The kinds of outcome that always have this member, as the operand of `IN`. */
function kindsWith(member: 'bookingId' | 'position'): string {
  const kinds = OUTCOME_KINDS.filter((kind) => OUTCOMES[kind].has?.includes(member))
  return `(${kinds.map((kind) => `'${kind}'`).join(', ')})`
}

/** Stored outcomes, compared with the rows that they are about. */
export const commandChecks: PromiseCheck[] = [
  {
    name: 'outcomes_known',
    promise: 'each stored outcome is possible for its type of command',
    text: `SELECT event_id, format('%s: %s to a %s', command_id, outcome, type) AS detail FROM commands
      WHERE ${wanted('event_id')} AND NOT (
        (outcome = 'refused' OR (type, outcome) IN (${POSSIBLE}))
        AND (outcome NOT IN ${kindsWith('position')} OR coalesce(position, 0) >= 1))`,
  },
  {
    name: 'booked_means_booked',
    promise: 'each outcome that names a booking agrees with the row of that booking',
    text: `SELECT c.event_id, format('%s: %s, booking %s of %s', c.command_id, c.outcome, c.booking_sequence,
          coalesce(b.user_id || ', ' || b.status, 'nobody')) AS detail
      FROM (${FIRST}) c LEFT JOIN bookings b ON b.event_id = c.event_id AND b.sequence = c.booking_sequence
      WHERE c.outcome IN ${kindsWith('bookingId')} AND (
        b.user_id IS DISTINCT FROM c.user_id
        OR (c.outcome = 'booked' AND b.promoted)
        OR (c.outcome = 'canceled' AND b.status <> 'canceled'))`,
  },
  {
    name: 'one_effect_each',
    promise: 'no two commands made or canceled the same booking',
    text: `SELECT event_id, format('booking %s was %s by %s', booking_sequence, outcome,
          string_agg(command_id, ', ' ORDER BY command_id)) AS detail
      FROM (${FIRST}) c WHERE outcome IN ('booked', 'canceled')
      GROUP BY event_id, booking_sequence, outcome HAVING count(*) > 1`,
  },
  {
    name: 'waiting_means_waiting',
    promise: 'each outcome about joining or leaving a waiting list has an entry of its own',
    text: `SELECT c.event_id, format('%s: %s times %s, %s such entries', c.user_id, c.answers, c.outcome,
          count(w.sequence)) AS detail
      FROM (
        SELECT event_id, user_id, outcome, count(*) AS answers FROM (${FIRST}) f
        WHERE outcome IN ('waiting', 'withdrawn') GROUP BY 1, 2, 3
      ) c
      LEFT JOIN waitlist_entries w ON w.event_id = c.event_id AND w.user_id = c.user_id
        AND (c.outcome = 'waiting' OR w.status = 'withdrawn')
      GROUP BY c.event_id, c.user_id, c.outcome, c.answers HAVING count(w.sequence) < c.answers`,
  },
  {
    name: 'promoted_means_booked',
    promise: 'each promotion that an outcome names has a promoted booking of its own',
    text: `SELECT c.event_id, format('%s was promoted by %s commands and has %s such bookings', c.promoted_user_id,
          c.promotions, count(b.sequence)) AS detail
      FROM (
        SELECT event_id, promoted_user_id, count(*) AS promotions FROM (${FIRST}) f
        WHERE promoted_user_id IS NOT NULL GROUP BY 1, 2
      ) c
      LEFT JOIN bookings b ON b.event_id = c.event_id AND b.user_id = c.promoted_user_id AND b.promoted
      GROUP BY c.event_id, c.promoted_user_id, c.promotions HAVING count(b.sequence) < c.promotions`,
  },
  {
    name: 'nothing_without_command',
    promise: `each effect of the last ${SURELY_KEPT_HOURS} hours has its command`,
    text: `SELECT event_id, format('%s: %s %s without a command', user_id, changes - answers, effect) AS detail
      FROM (
        SELECT event_id, user_id, effect, sum(change) AS changes, sum(answer) AS answers FROM (
          SELECT event_id, user_id, 'booked' AS effect, 1 AS change, 0 AS answer FROM bookings
            WHERE NOT promoted AND booked_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'canceled', 1, 0 FROM bookings
            WHERE canceled_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'promoted', 1, 0 FROM bookings
            WHERE promoted AND booked_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'waiting', 1, 0 FROM waitlist_entries
            WHERE since > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'withdrawn', 1, 0 FROM waitlist_entries
            WHERE status = 'withdrawn' AND left_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, outcome, 0, 1 FROM commands
            WHERE replay_of IS NULL AND outcome IN ('booked', 'canceled', 'waiting', 'withdrawn')
          UNION ALL SELECT event_id, promoted_user_id, 'promoted', 0, 1 FROM commands
            WHERE replay_of IS NULL AND promoted_user_id IS NOT NULL
        ) effects WHERE ${wanted('event_id')} GROUP BY event_id, user_id, effect
      ) c WHERE changes > answers`,
  },
  {
    name: 'replays_repeat',
    promise: 'an outcome that repeats a key equals the first outcome of the key',
    text: `SELECT r.event_id, format('%s: %s, but %s: %s', r.command_id, r.outcome, first.command_id, first.outcome)
          AS detail
      FROM commands r JOIN commands first ON first.command_id = r.replay_of
      WHERE ${wanted('r.event_id')} AND (
        first.replay_of IS NOT NULL
        OR ${askedOf('r')} <> ${askedOf('first')} OR r.outcome <> first.outcome
        OR (r.position, r.booking_sequence) IS DISTINCT FROM (first.position, first.booking_sequence))`,
  },
  {
    name: 'keys_have_command',
    promise: `each idempotency key of the last ${IDEMPOTENCY_KEY_HOURS} hours names a command of its caller`,
    text: `SELECT coalesce(c.event_id, 0) AS event_id,
        format('a key of %s names %s', k.caller, coalesce(c.command_id || ' of ' || c.caller, 'no command')) AS detail
      FROM idempotency_keys k LEFT JOIN commands c USING (command_id)
      WHERE k.created_at > now() - interval '${IDEMPOTENCY_KEY_HOURS} hours' AND c.caller IS DISTINCT FROM k.caller
        AND ($1::bigint[] IS NULL OR c.event_id = ANY ($1::bigint[]))`,
  },
  {
    name: 'one_answer_per_key',
    promise: `each idempotency key of the last ${IDEMPOTENCY_KEY_HOURS} hours has one outcome, and all its repeats have it`,
    // A request is a repeat only if it was accepted within the lifetime of the key, which begins
    // with the first request.
    text: `SELECT c.event_id, format('a key of %s: %s %s, and %s %s', k.caller, first.command_id, first.outcome,
          c.command_id, c.outcome) AS detail
      FROM idempotency_keys k
      JOIN commands first ON first.command_id = k.command_id
      JOIN commands c ON c.caller = k.caller AND c.idempotency_key = k.key_hash AND c.command_id <> k.command_id
      WHERE k.created_at > now() - interval '${IDEMPOTENCY_KEY_HOURS} hours' AND ${wanted('c.event_id')}
        AND c.outcome NOT IN ('refused', 'idempotency_key_reused')
        AND (c.replay_of IS NULL AND abs(extract(epoch FROM c.accepted_at - first.accepted_at)) < ${IDEMPOTENCY_KEY_HOURS} * 3600
          OR c.replay_of IS NOT NULL AND c.replay_of <> k.command_id
            AND extract(epoch FROM c.accepted_at - first.accepted_at) BETWEEN 0 AND ${IDEMPOTENCY_KEY_HOURS} * 3600 - 1)`,
  },
]
