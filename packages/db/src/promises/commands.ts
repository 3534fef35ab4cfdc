import {
  IDEMPOTENCY_KEY_HOURS,
  MIN_RETENTION_HOURS,
  OUTCOME_KINDS,
  OUTCOMES,
  type OutcomeKind,
} from '@ticket-line/shared'
import { CREATE_EVENT, EVENT_CREATED, EVENT_EXISTS } from '../events/create.js'
import { REQUEST_COLUMNS } from '../line/columns.js'
import { DATA_MEMBERS } from '../schema.js'
import { type PromiseCheck, wanted } from './check.js'

/** Commands that do not repeat the outcome of an idempotency key. */
const FIRST = `SELECT * FROM commands WHERE replay_of IS NULL AND ${wanted('event_id')}`

/**
 * An hour less than the shortest retention. Effects that are younger must have their command; the
 * commands of older ones may have been pruned.
 */
const SURELY_KEPT_HOURS = MIN_RETENTION_HOURS - 1
const SURELY_KEPT = `interval '${SURELY_KEPT_HOURS} hours'`

/** `POST /events` stores its answers as those of a command; see `createConfiguredEvent`. */
const POSSIBLE_CREATIONS = [EVENT_CREATED, EVENT_EXISTS].map(
  (outcome) => `('${CREATE_EVENT}', '${outcome}')`,
)

const POSSIBLE = [
  ...OUTCOME_KINDS.flatMap((kind) => OUTCOMES[kind].types.map((type) => `('${type}', '${kind}')`)),
  ...POSSIBLE_CREATIONS,
].join(', ')

/** SQL of what the command in row `alias` requested. */
function askedOf(alias: string): string {
  return `(${REQUEST_COLUMNS.map((column) => `${alias}.${column}`).join(', ')})`
}

type Member = NonNullable<(typeof OUTCOMES)[OutcomeKind]['has']>[number]

/** The kinds of outcome that always have this member, as the operand of `IN`. */
function kindsWith(member: Member): string {
  const kinds = OUTCOME_KINDS.filter((kind) => OUTCOMES[kind].has?.includes(member))
  return `(${kinds.map((kind) => `'${kind}'`).join(', ')})`
}

const HAS_ITS_DATA = DATA_MEMBERS.map(
  (member) => `(outcome NOT IN ${kindsWith(member)} OR coalesce(data ? '${member}', false))`,
).join(' AND ')

/** SQL of a row of `bookings` that began as a hold and was not confirmed. */
const RELEASED = 'held_at IS NOT NULL AND confirmed_at IS NULL'

/** True if a settle of the event was decided at this time. */
const settledAt = (column: string): string =>
  `EXISTS (SELECT FROM settles s WHERE s.event_id = r.event_id AND s.decided_at = r.${column})`

/** Stored outcomes, compared with the rows that they are about. */
export const commandChecks: PromiseCheck[] = [
  {
    name: 'outcomes_known',
    promise: 'each stored outcome is possible for its type of command, and complete',
    text: `SELECT event_id, format('%s: %s to a %s', command_id, outcome, type) AS detail FROM commands
      WHERE ${wanted('event_id')} AND NOT (
        (outcome = 'refused' OR (type, outcome) IN (${POSSIBLE}))
        AND (outcome NOT IN ${kindsWith('position')} OR coalesce(position, 0) >= 1)
        AND ${HAS_ITS_DATA})`,
  },
  {
    name: 'booked_means_booked',
    promise: 'each outcome that names a booking agrees with the row of that booking',
    text: `SELECT c.event_id, format('%s: %s, booking %s of %s', c.command_id, c.outcome, c.booking_sequence,
          coalesce(b.user_id || ', ' || b.status, 'nobody')) AS detail
      FROM (${FIRST}) c LEFT JOIN bookings b ON b.event_id = c.event_id AND b.sequence = c.booking_sequence
      WHERE c.outcome IN ${kindsWith('bookingId')} AND (
        b.user_id IS DISTINCT FROM c.user_id
        OR (c.outcome = 'booked' AND (b.promoted OR b.held_at IS NOT NULL OR b.granted <> (c.type = 'grant')))
        OR (c.outcome = 'held' AND (b.promoted OR b.held_at IS NULL))
        OR (c.outcome IN ('already_held', 'extended') AND b.held_at IS NULL)
        OR (c.outcome = 'confirmed' AND b.held_at IS NOT NULL AND b.confirmed_at IS NULL)
        OR (c.outcome = 'canceled' AND (b.status <> 'canceled' OR (${RELEASED})))
        OR (c.outcome = 'released' AND NOT (b.status = 'canceled' AND ${RELEASED})))`,
  },
  {
    name: 'held_as_long_as_promised',
    promise: 'each hold lasts at least as long as an outcome said',
    text: `SELECT c.event_id, format('%s: %s until %s, but booking %s until %s', c.command_id, c.outcome,
          to_timestamp((c.data ->> 'expiresAtMs')::float8 / 1000), c.booking_sequence, b.expires_at) AS detail
      FROM (${FIRST}) c JOIN bookings b ON b.event_id = c.event_id AND b.sequence = c.booking_sequence
      WHERE c.outcome IN ${kindsWith('expiresAtMs')}
        AND extract(epoch FROM b.expires_at) * 1000 < (c.data ->> 'expiresAtMs')::float8 - 1`,
  },
  {
    name: 'settings_as_decided',
    promise: 'each outcome about the settings or the end of an event agrees with the event',
    text: `SELECT c.event_id, format('%s: %s, version %s, canceled %s', c.command_id, c.outcome, e.version,
          coalesce(e.canceled_at::text, 'never')) AS detail
      FROM (${FIRST}) c
      -- An event that was deleted may have been created again.
      JOIN events e ON e.event_id = c.event_id AND e.created_at <= c.decided_at
      WHERE (c.outcome = 'configured' AND (c.data #>> '{event,version}')::int > e.version)
        OR (c.outcome IN ('event_ended', 'event_canceled') AND (e.canceled_at <= c.decided_at) IS NOT TRUE)`,
  },
  {
    name: 'one_effect_each',
    promise: 'no two commands made or ended the same booking or hold',
    text: `SELECT event_id, format('booking %s was %s by %s', booking_sequence, outcome,
          string_agg(command_id, ', ' ORDER BY command_id)) AS detail
      FROM (
        SELECT event_id, booking_sequence, command_id,
          CASE WHEN outcome IN ('booked', 'held') THEN 'made' ELSE 'ended' END AS outcome
        FROM (${FIRST}) f WHERE outcome IN ('booked', 'held', 'canceled', 'released')
      ) c GROUP BY event_id, booking_sequence, outcome HAVING count(*) > 1`,
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
    promise: 'each promotion that an outcome names has a promoted booking or offer of its own',
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
    // An effect of a settle names no command. Its time is that of the settle.
    text: `WITH settles AS MATERIALIZED (
        SELECT DISTINCT event_id, decided_at FROM commands WHERE type = 'settle' AND outcome = 'settled'
      )
      SELECT event_id, format('%s: %s %s without a command', user_id, changes - answers, effect) AS detail
      FROM (
        SELECT event_id, user_id, effect, sum(change) AS changes, sum(answer) AS answers FROM (
          SELECT event_id, user_id,
            CASE WHEN granted THEN 'granted' WHEN held_at IS NULL THEN 'booked' ELSE 'held' END AS effect,
            1 AS change, 0 AS answer
            FROM bookings WHERE NOT promoted AND booked_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, CASE WHEN ${RELEASED} THEN 'released' ELSE 'canceled' END, 1, 0
            FROM bookings
            WHERE status = 'canceled' AND canceled_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'confirmed', 1, 0 FROM bookings
            WHERE confirmed_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, status, 1, 0 FROM bookings r
            WHERE status IN ('expired', 'event_canceled') AND canceled_at > now() - ${SURELY_KEPT}
              AND NOT ${settledAt('canceled_at')}
          UNION ALL SELECT event_id, user_id, 'promoted', 1, 0 FROM bookings r
            WHERE promoted AND booked_at > now() - ${SURELY_KEPT} AND NOT ${settledAt('booked_at')}
          UNION ALL SELECT event_id, user_id, 'waiting', 1, 0 FROM waitlist_entries
            WHERE since > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'withdrawn', 1, 0 FROM waitlist_entries
            WHERE status = 'withdrawn' AND left_at > now() - ${SURELY_KEPT}
          UNION ALL SELECT event_id, user_id, 'event_canceled', 1, 0 FROM waitlist_entries r
            WHERE status = 'event_canceled' AND left_at > now() - ${SURELY_KEPT} AND NOT ${settledAt('left_at')}
          UNION ALL SELECT event_id, user_id,
            CASE WHEN type = 'grant' AND outcome = 'booked' THEN 'granted' ELSE outcome END, 0, 1
            FROM commands
            WHERE replay_of IS NULL
              AND outcome IN ('booked', 'held', 'confirmed', 'canceled', 'released', 'waiting', 'withdrawn')
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
        OR (r.position, r.booking_sequence, r.data)
          IS DISTINCT FROM (first.position, first.booking_sequence, first.data))`,
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
    // with the first request. A request that came too early, or during a pause, does not use up its
    // key.
    text: `SELECT c.event_id, format('a key of %s: %s %s, and %s %s', k.caller, first.command_id, first.outcome,
          c.command_id, c.outcome) AS detail
      FROM idempotency_keys k
      JOIN commands first ON first.command_id = k.command_id
      JOIN commands c ON c.caller = k.caller AND c.idempotency_key = k.key_hash AND c.command_id <> k.command_id
      WHERE k.created_at > now() - interval '${IDEMPOTENCY_KEY_HOURS} hours' AND ${wanted('c.event_id')}
        AND c.outcome NOT IN ('refused', 'idempotency_key_reused', 'sales_not_open', 'sales_paused')
        AND (c.replay_of IS NULL AND abs(extract(epoch FROM c.accepted_at - first.accepted_at)) < ${IDEMPOTENCY_KEY_HOURS} * 3600
          OR c.replay_of IS NOT NULL AND c.replay_of <> k.command_id
            AND extract(epoch FROM c.accepted_at - first.accepted_at) BETWEEN 0 AND ${IDEMPOTENCY_KEY_HOURS} * 3600 - 1)`,
  },
]
