import { MIN_RETENTION_HOURS } from '@ticket-line/shared'
import { SELECT_DETAILS, SELECT_RULES } from '../events/setting-columns.js'
import { type PromiseCheck, wanted } from './check.js'

/**
 * SQL of the events whose log is complete, and the number of their last `event.created`. An event
 * that was deleted and created again has several. Its claims follow from the changes after the last
 * one.
 *
 * The log of other events lacks changes, although its numbers have no gaps: old changes were
 * pruned, or an earlier release created the event. During the upgrade, workers of that release may
 * have changed claims without logging it.
 */
const COMPLETE = `SELECT event_id, max(no) AS created_no FROM changes
    WHERE type = 'event.created' AND ${wanted('event_id')} GROUP BY event_id`

/**
 * True if the log of `event_id` is complete. In this form, PostgreSQL reads the complete events
 * once into a hash table. A join would be planned as a loop over few events, and there may be many,
 * for each of which the loop would read whole tables.
 */
const IS_COMPLETE = `(event_id IN (SELECT event_id FROM changes WHERE type = 'event.created')) IS TRUE`

/** True if two times differ by no more than the rounding to whole milliseconds. */
const isSameTime = (a: string, b: string): string => `abs(extract(epoch FROM ${a} - ${b})) <= 0.001`

/** SQL of the deadline that a change gives a hold, ms since 1970; null if it gives none. */
const deadlineOf = (alias: string): string => `(${alias}.data ->> 'expiresAtMs')::float8`

/** Bookings, holds and waiting-list entries in one form. */
const CLAIM_ROWS = `
  SELECT event_id, sequence, user_id, status, promoted, granted, held_at, reminded_at, booked_at AS began_at,
    confirmed_at, canceled_at AS ended_at, extract(epoch FROM expires_at)::float8 * 1000 AS expires_ms
  FROM bookings WHERE ${wanted('event_id')}
  UNION ALL
  SELECT event_id, sequence, user_id, 'entry ' || status, false, false, NULL, NULL, since, NULL, left_at, NULL
  FROM waitlist_entries WHERE ${wanted('event_id')}`

const HAS_DEADLINE = `abs(r.expires_ms - ${deadlineOf('l')}) < 1`

/** True if row `r` is as its last change `l` left it. */
const IS_AS_LOGGED = `CASE l.type
    WHEN 'booking.confirmed' THEN r.status = 'confirmed'
      AND ${isSameTime('l.at', 'coalesce(r.confirmed_at, r.began_at)')}
      AND CASE l.data ->> 'origin'
        WHEN 'grant' THEN r.granted
        WHEN 'hold' THEN r.held_at IS NOT NULL AND NOT r.promoted
        WHEN 'offer' THEN r.held_at IS NOT NULL AND r.promoted
        WHEN 'late' THEN r.held_at IS NOT NULL
        ELSE r.held_at IS NULL AND NOT r.promoted AND NOT r.granted END
    WHEN 'booking.held' THEN r.status = 'held' AND NOT r.promoted AND r.reminded_at IS NULL AND ${HAS_DEADLINE}
      AND ${isSameTime('l.at', 'r.held_at')}
    WHEN 'booking.extended' THEN r.status = 'held' AND r.reminded_at IS NULL AND ${HAS_DEADLINE}
    WHEN 'booking.expiring' THEN r.status = 'held' AND ${HAS_DEADLINE} AND ${isSameTime('l.at', 'r.reminded_at')}
    WHEN 'booking.canceled' THEN ${isSameTime('l.at', 'r.ended_at')}
      AND r.status = CASE WHEN l.data ->> 'reason' = 'event_canceled' THEN 'event_canceled' ELSE 'canceled' END
    WHEN 'booking.expired' THEN r.status = 'expired' AND ${isSameTime('l.at', 'r.ended_at')}
    WHEN 'waitlist.joined' THEN r.status IN ('entry waiting', 'entry promoted') AND ${isSameTime('l.at', 'r.began_at')}
    WHEN 'waitlist.left' THEN ${isSameTime('l.at', 'r.ended_at')}
      AND r.status = 'entry ' || coalesce(l.data ->> 'reason', 'withdrawn')
    WHEN 'waitlist.promoted' THEN r.promoted AND ${isSameTime('l.at', 'r.began_at')}
      AND CASE WHEN ${deadlineOf('l')} IS NULL THEN r.status = 'confirmed' AND r.held_at IS NULL
        ELSE r.status = 'held' AND r.reminded_at IS NULL AND ${HAS_DEADLINE} END
    END`

/** True if row `r` was changed after its last change `l`. */
const WAS_CHANGED_LATER = `(greatest(r.confirmed_at, r.ended_at) > l.at
    OR r.status = 'held' AND r.expires_ms > ${deadlineOf('l')})`

/** SQL of what a user has after a change: `booking`, `held`, `waiting` or `none`. */
const standingAfter = (type: string, deadline: string): string => `CASE
    WHEN ${type} = 'waitlist.joined' THEN 'waiting'
    WHEN ${type} IN ('booking.held', 'booking.extended', 'booking.expiring') THEN 'held'
    WHEN ${type} = 'booking.confirmed' THEN 'booking'
    WHEN ${type} = 'waitlist.promoted' THEN CASE WHEN ${deadline} IS NULL THEN 'booking' ELSE 'held' END
    ELSE 'none' END`

/** SQL of what a user must have before a change. */
const STANDING_BEFORE = `CASE
    WHEN type IN ('waitlist.left', 'waitlist.promoted') THEN 'waiting'
    WHEN type IN ('booking.extended', 'booking.expiring', 'booking.expired') THEN 'held'
    WHEN type = 'booking.canceled' THEN CASE data ->> 'standing' WHEN 'held' THEN 'held' ELSE 'booking' END
    WHEN data ->> 'origin' IN ('hold', 'offer') THEN 'held'
    ELSE 'none' END`

/** Events with their settings as changes spell them. */
const EVENT_SETTINGS = `
  SELECT event_id, version, canceled_at, (SELECT to_jsonb(s) FROM (
      SELECT coalesce(capacity, total_tickets) AS "totalTickets", ${SELECT_DETAILS}, ${SELECT_RULES}
    ) s) AS settings
  FROM events WHERE ${wanted('event_id')}`

/** As in `commands.ts`: the commands of changes that are younger cannot have been pruned. */
const SURELY_KEPT_HOURS = MIN_RETENTION_HOURS - 1

/** Each type of change with each outcome that can cause it, as operands of `IN`. */
const CAUSES = [
  ['booking.confirmed', 'booked', 'confirmed'],
  ['booking.held', 'held'],
  ['booking.extended', 'extended'],
  ['booking.expiring', 'settled'],
  ['booking.canceled', 'canceled', 'released', 'settled'],
  ['booking.expired', 'settled'],
  ['waitlist.joined', 'waiting'],
  ['waitlist.left', 'withdrawn', 'booked', 'settled'],
  ['waitlist.promoted', 'canceled', 'released', 'settled'],
  ['event.updated', 'configured', 'booked'],
  ['event.canceled', 'event_ended'],
]
  .flatMap(([type, ...outcomes]) => outcomes.map((outcome) => `('${type}', '${outcome}')`))
  .join(', ')

/**
 * Checks that compare the change log with the rows that it describes. Each decision writes both in
 * one transaction, so neither can be ahead of the other.
 */
export const changeLogChecks: PromiseCheck[] = [
  {
    name: 'changes_numbered',
    promise: 'the changes of an event have consecutive numbers, and the last one is the highest',
    text: `SELECT event_id, format('%s changes from %s to %s, last number %s', changes, lowest, highest,
          coalesce(last_change::text, 'unknown')) AS detail
      FROM (SELECT event_id, last_change FROM events WHERE ${wanted('event_id')}) e
      FULL JOIN (
        SELECT event_id, count(*) AS changes, min(no) AS lowest, max(no) AS highest
        FROM changes WHERE ${wanted('event_id')} GROUP BY event_id
      ) c USING (event_id)
      -- The changes of a deleted event stay.
      WHERE lowest < 1 OR changes <> highest - lowest + 1 OR coalesce(highest, 0) <> coalesce(last_change, highest)`,
  },
  {
    name: 'changes_give_claims',
    promise: 'the changes of an event since it was created add up to the claims of its users',
    text: `SELECT event_id, format('%s of %s: number %s until %s, and by the log %s %s until %s',
          coalesce(claims.kind, 'no claim'), user_id, claims.sequence, claims.expires_ms, coalesce(logged.kind, 'no claim'),
          logged.sequence, logged.expires_ms) AS detail
      FROM (
        SELECT * FROM (
          SELECT DISTINCT ON (l.event_id, user_id) l.event_id, user_id, sequence,
            ${standingAfter('type', deadlineOf('l'))} AS kind, ${deadlineOf('l')} AS expires_ms
          FROM changes l JOIN (${COMPLETE}) c ON c.event_id = l.event_id AND l.no > c.created_no
          WHERE user_id IS NOT NULL ORDER BY l.event_id, user_id, no DESC
        ) last WHERE kind <> 'none'
      ) logged
      FULL JOIN (
        SELECT event_id, user_id, kind, sequence, (
          SELECT extract(epoch FROM expires_at)::float8 * 1000 FROM bookings b
          WHERE kind = 'held' AND b.event_id = c.event_id AND b.sequence = c.sequence
        ) AS expires_ms
        FROM claims c WHERE kind <> 'lapsed' AND ${wanted('event_id')} AND ${IS_COMPLETE}
      ) claims USING (event_id, user_id)
      WHERE (claims.kind, claims.sequence) IS DISTINCT FROM (logged.kind, logged.sequence)
        OR (logged.kind = 'held' AND abs(claims.expires_ms - logged.expires_ms) >= 1)`,
  },
  {
    name: 'changes_match_rows',
    promise:
      'each booking, hold and waiting-list entry agrees with the last change that names it; if the log is complete, there is such a change',
    text: `SELECT event_id, format('number %s: %s, and %s', sequence,
          coalesce(r.user_id || ' ' || r.status, 'no row'),
          coalesce('change ' || l.no || ' of ' || l.user_id || ' is ' || l.type, 'no change')) AS detail
      FROM (
        SELECT DISTINCT ON (event_id, sequence) * FROM changes
        WHERE sequence IS NOT NULL AND ${wanted('event_id')} ORDER BY event_id, sequence, no DESC
      ) l
      FULL JOIN (${CLAIM_ROWS}) r USING (event_id, sequence)
      WHERE CASE WHEN l.no IS NULL THEN ${IS_COMPLETE}
        WHEN r.user_id IS DISTINCT FROM l.user_id THEN true
        WHEN ${WAS_CHANGED_LATER} AND NOT (${IS_COMPLETE}) THEN false
        ELSE (${IS_AS_LOGGED}) IS NOT TRUE END`,
  },
  {
    name: 'changes_follow',
    promise:
      'each change of a claim follows from the one before it, back to the creation of its event',
    text: `SELECT event_id, format('change %s of %s: %s %s, and before it %s', no, user_id, type, sequence,
          concat_ws(' ', was, was_sequence)) AS detail
      FROM (
        SELECT l.event_id, no, user_id, type, sequence, ${STANDING_BEFORE} AS needed,
          ${standingAfter('lag(type) OVER w', `lag(${deadlineOf('l')}) OVER w`)} AS was,
          lag(sequence) OVER w AS was_sequence, data ->> 'origin' AS origin
        FROM changes l JOIN (${COMPLETE}) c ON c.event_id = l.event_id AND l.no > c.created_no
        WHERE user_id IS NOT NULL
        WINDOW w AS (PARTITION BY l.event_id, user_id ORDER BY no)
      ) s
      WHERE was <> needed OR CASE
        WHEN origin = 'late' THEN false
        WHEN needed = 'none' OR type = 'waitlist.promoted' THEN sequence <= was_sequence
        ELSE sequence <> was_sequence END`,
  },
  {
    name: 'reminders_in_time',
    promise:
      'a settle is planned at the latest for the time at which a fifth of the time of a hold is left',
    // An earlier release planned no settles for this.
    text: `SELECT event_id, format('hold %s of %s until %s since %s, planned for %s', sequence, user_id, expires_at,
          held_at, coalesce(due_at::text, 'never')) AS detail
      FROM bookings b JOIN events e USING (event_id)
      WHERE b.status = 'held' AND reminded_at IS NULL AND e.canceled_at IS NULL
        AND ${wanted('event_id')} AND ${IS_COMPLETE}
        AND (due_at <= expires_at - (expires_at - held_at) / 5 + interval '1 millisecond') IS NOT TRUE`,
  },
  {
    name: 'sold_out_logged',
    promise:
      'the log of an event since it was created says when its last ticket was taken and when one became free again',
    // The cancellation of an event takes its free tickets without `event.sold_out`.
    text: `SELECT event_id, format('%s after change %s, %s', CASE WHEN is_free THEN 'free tickets' ELSE 'no free ticket' END,
          no, coalesce('then ' || next, 'and now ' || available_tickets || ' are free')) AS detail
      FROM (
        SELECT event_id, no, lead(type) OVER (PARTITION BY event_id ORDER BY no) AS next,
          type = 'event.available'
            OR type = 'event.created' AND (data #>> '{settings,totalTickets}')::int > 0 AS is_free
        FROM changes l JOIN (${COMPLETE}) c USING (event_id)
        WHERE no >= created_no AND type IN ('event.created', 'event.sold_out', 'event.available')
      ) l LEFT JOIN events e USING (event_id)
      WHERE next <> CASE WHEN is_free THEN 'event.sold_out' ELSE 'event.available' END
        OR next IS NULL AND e.canceled_at IS NULL AND is_free <> (e.available_tickets > 0)`,
  },
  {
    name: 'settings_logged',
    promise: 'the changes of an event since it was created add up to its settings',
    text: `SELECT event_id, detail FROM (
        SELECT event_id, CASE
            WHEN e.version <> l.updates + 1 THEN format('version %s, and %s updates in the log', e.version, l.updates)
            WHEN (e.canceled_at IS NOT NULL) <> l.canceled
              THEN format('canceled %s, and in the log: %s', coalesce(e.canceled_at::text, 'never'), l.canceled)
            WHEN NOT e.settings @> l.settings THEN format('%s, and by the log %s', e.settings, l.settings)
          END AS detail
        FROM (${EVENT_SETTINGS}) e JOIN (
          SELECT event_id, count(DISTINCT no) FILTER (WHERE type = 'event.updated') AS updates,
            bool_or(type = 'event.canceled') AS canceled,
            jsonb_object_agg(key, value ORDER BY no) FILTER (WHERE key IS NOT NULL) AS settings
          FROM changes l JOIN (${COMPLETE}) c USING (event_id)
          LEFT JOIN LATERAL jsonb_each(data -> 'settings') ON true
          WHERE no >= created_no AND type IN ('event.created', 'event.updated', 'event.canceled')
          GROUP BY event_id
        ) l USING (event_id)
      ) s WHERE detail IS NOT NULL`,
  },
  {
    name: 'changes_have_commands',
    promise: `each change of the last ${SURELY_KEPT_HOURS} hours names the command that caused it`,
    text: `SELECT l.event_id, format('change %s: %s by %s at %s, and command %s: %s by %s at %s', l.no, l.type, l.actor, l.at,
          l.command_id, coalesce(c.outcome, 'unknown'), c.caller, c.decided_at) AS detail
      FROM changes l LEFT JOIN commands c ON c.command_id = l.command_id
      WHERE l.at > now() - interval '${SURELY_KEPT_HOURS} hours' AND ${wanted('l.event_id')}
        AND CASE WHEN l.type = 'event.created' THEN l.command_id IS NOT NULL
          ELSE (c.event_id = l.event_id AND c.replay_of IS NULL AND ${isSameTime('l.at', 'c.decided_at')}
            AND l.actor IS NOT DISTINCT FROM nullif(c.caller, '')
            AND (l.type IN ('event.sold_out', 'event.available') OR (l.type, c.outcome) IN (${CAUSES}))) IS NOT TRUE END`,
  },
  {
    name: 'effects_logged',
    promise: 'each effect of a command on an event with a complete log is in the log once',
    text: `SELECT event_id, format('%s: %s, %s changes %s of %s', x.command_id, x.outcome, count(l.no), x.type, x.user_id)
          AS detail
      FROM (
        SELECT event_id, command_id, user_id, outcome, CASE outcome WHEN 'booked' THEN 'booking.confirmed'
            WHEN 'held' THEN 'booking.held' WHEN 'extended' THEN 'booking.extended' WHEN 'waiting' THEN 'waitlist.joined'
            WHEN 'withdrawn' THEN 'waitlist.left' ELSE 'booking.canceled' END AS type
        FROM commands WHERE replay_of IS NULL
          AND outcome IN ('booked', 'held', 'extended', 'waiting', 'withdrawn', 'canceled', 'released')
        UNION ALL
        SELECT event_id, command_id, promoted_user_id, outcome, 'waitlist.promoted' FROM commands
        WHERE replay_of IS NULL AND promoted_user_id IS NOT NULL
      ) x LEFT JOIN changes l USING (event_id, command_id, user_id, type)
      WHERE ${wanted('event_id')} AND ${IS_COMPLETE}
      GROUP BY event_id, x.command_id, x.outcome, x.type, x.user_id HAVING count(l.no) <> 1`,
  },
]
