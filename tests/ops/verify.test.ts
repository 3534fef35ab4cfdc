import { createDatabase, verifyPromises } from '@ticket-line/db'
import { VERSION } from '@ticket-line/shared'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createContractKit } from '../integration/contract-kit.ts'
import { createEmptyDatabase, queryOnce } from '../stack/databases.ts'
import { type System, startSystem } from '../stack/system.ts'
import { runOps } from './run-ops.ts'

/** A stopped system that has applied every kind of command. Tests damage clones of its database. */
let system: System
let template: string

beforeAll(async () => {
  system = await startSystem()
  const organizer = await system.token('olga', 'organizer')
  for (const body of [
    { eventId: 1, totalTickets: 2 },
    { eventId: 2, totalTickets: 3 },
  ])
    expect((await system.api.post('/initialize', body, { token: organizer })).status).toBe(201)
  const ask = async (path: '/book' | '/cancel', userId: string, eventId = 1, key = '') => {
    const headers: Record<string, string> = key === '' ? {} : { 'Idempotency-Key': key }
    return (
      await system.api.post(path, { eventId }, { token: await system.token(userId), headers })
    ).status
  }
  // The sequence numbers of event 1: ada 1, bob 2, cleo 3, dan 4, eve 5, fay 6, then cleo's
  // promotion 7, ada again 8, dan's promotion 9.
  for (const userId of ['ada', 'bob', 'cleo', 'dan', 'eve', 'fay'])
    expect(await ask('/book', userId)).toBe(200)
  expect(await ask('/cancel', 'ada')).toBe(200)
  expect(await ask('/book', 'ada')).toBe(200)
  expect(await ask('/cancel', 'bob')).toBe(200)
  expect(await ask('/cancel', 'eve')).toBe(200)
  expect(await ask('/book', 'cleo')).toBe(409)
  expect(await ask('/book', 'ada')).toBe(409)
  expect(await ask('/cancel', 'bob')).toBe(404)
  // Event 2 has free tickets, a canceled booking, and a key that was used twice.
  for (let i = 0; i < 2; i++) expect(await ask('/book', 'gus', 2, 'k1')).toBe(200)
  expect(await ask('/book', 'gus', 2, 'k2')).toBe(409)
  expect(await ask('/book', 'hal', 2)).toBe(200)
  expect(await ask('/cancel', 'hal', 2)).toBe(200)
  await useHoldsAndSettings()
  await Promise.all([...system.apis, ...system.workers].map((process) => process.stop()))
  template = new URL(system.databaseUrl).pathname.slice(1)
})
afterAll(() => system?.stop())

/** Event 3 has holds, offers, a grant and a withheld ticket. Event 4 is canceled. */
async function useHoldsAndSettings(): Promise<void> {
  const kit = createContractKit(system)
  const send = async (methodAndPath: string, as: string, body: object, status = 200) =>
    expect(await kit.call(methodAndPath, { as, body: { ...body } })).toMatchObject({ status })
  const settled = async (sql: string) =>
    expect(await until(async () => (await kit.query(sql)).length > 0, { timeoutMs: 15_000 })).toBe(
      true,
    )
  const [of3, of4] = [{ eventId: 3 }, { eventId: 4 }]
  await send('POST /events', 'olga', { ...of3, totalTickets: 3, holdSeconds: 8 }, 201)
  await send('POST /events', 'olga', { ...of4, totalTickets: 2 }, 201)
  // The sequence numbers of event 3: kai 1, lea 2, mia 3, ned 4, otto 5, pia 6, then ned's offer 7
  // and pia's grant 8.
  await send('POST /book', 'kai', of3)
  await send('PATCH /events/3', 'olga', { holdSeconds: 3600, name: 'Gala' })
  for (const userId of ['lea', 'mia', 'ned', 'otto', 'pia']) await send('POST /book', userId, of3)
  await send('POST /book', 'mia', of3, 409)
  await send('POST /confirm', 'lea', of3)
  await send('POST /confirm', 'lea', of3)
  await send('POST /extend', 'olga', { ...of3, userId: 'mia', seconds: 4000 })
  await settled(`SELECT FROM claims WHERE event_id = 3 AND kind = 'lapsed'`)
  await send('POST /confirm', 'kai', of3, 409)
  await send('POST /events/3/grants', 'olga', { userId: 'pia', raiseCapacity: true })
  await send('PATCH /events/3', 'olga', { sales: 'paused' })
  await send('POST /cancel', 'lea', of3)
  for (const userId of ['rex', 'sam', 'tim']) await send('POST /book', userId, of4)
  await send('POST /events/4/cancel', 'olga', { reason: 'rain' })
  await send('POST /cancel', 'rex', of4, 409)
  await settled('SELECT FROM events WHERE event_id = 4 AND total_tickets + waiting_count = 0')
  await kit.stop()
}

/** Clones the database and runs the statements. @returns the URL of the clone */
async function damaged(...statements: string[]): Promise<string> {
  const database = await createEmptyDatabase(
    system.databaseUrl.replace(template, 'postgres'),
    template,
  )
  onTestFinished(() => database.drop())
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  // A case drops the constraints of the schema that would prevent the damage.
  for (const statement of statements) await client.query(statement)
  await client.end()
  return database.url
}

/** @returns the names of the broken promises */
async function broken(url: string, eventIds?: number[]): Promise<string[]> {
  const database = createDatabase({
    url,
    poolSize: 1,
    applicationName: 'verify test',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 20_000,
    idleInTransactionTimeoutMs: 5000,
    onIdleError: () => undefined,
  })
  try {
    const results = await verifyPromises(database.pool, {
      ...(eventIds === undefined ? {} : { eventIds }),
      exampleLimit: 3,
      checkTimeoutMs: 20_000,
      now: () => Date.now(),
    })
    return results.filter((result) => result.broken > 0).map((result) => result.name)
  } finally {
    await database.close()
  }
}

const uncounted = `ALTER TABLE events DROP CONSTRAINT events_never_oversold,
  DROP CONSTRAINT events_no_free_ticket_while_waiting`
const command = (id: string, type: string, userId: string, outcome: string, booking = 'NULL') =>
  `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, position, booking_sequence,
     accepted_at, decided_at)
   VALUES ('event-1.${id}.1.0', '${type}', 1, '${userId}', '${userId}', '${outcome}',
     ${outcome === 'waiting' ? 1 : 'NULL'}, ${booking}, now(), now())`

/** Without it, a trigger refuses to rewrite the change log. */
const PRUNING = `SET ticket_line.pruning = 'on'`

/** Removes changes of an event, and numbers the others again. */
const unlogged = (eventId: number, condition: string): string[] => [
  PRUNING,
  `DELETE FROM changes WHERE event_id = ${eventId} AND ${condition}`,
  `UPDATE changes c SET no = -n.place FROM (
     SELECT no, row_number() OVER (ORDER BY no) AS place FROM changes WHERE event_id = ${eventId}
   ) n WHERE c.event_id = ${eventId} AND c.no = n.no`,
  'UPDATE changes SET no = -no WHERE no < 0',
  `UPDATE events SET last_change = (SELECT count(*) FROM changes WHERE event_id = ${eventId})
   WHERE event_id = ${eventId}`,
]

/** The damage, and all promises that verify must then report as broken. */
const cases: [name: string, statements: string[], expected: string[]][] = [
  [
    'a booking that no counter includes',
    [
      `INSERT INTO bookings VALUES (1, 10, 'zoe', 'confirmed', false, now() - interval '2 days', NULL)`,
    ],
    [
      'never_oversold',
      'available_counted',
      'claims_match_rows',
      'numbers_given_once',
      'nobody_passed_over',
      'changes_match_rows',
    ],
  ],
  [
    'a free ticket while somebody is on the waiting list',
    [
      uncounted,
      'UPDATE events SET capacity = 3, total_tickets = 3, available_tickets = 1 WHERE event_id = 1',
    ],
    ['no_free_ticket_while_waiting', 'sold_out_logged', 'settings_logged'],
  ],
  [
    'a wrong counter of free tickets',
    ['UPDATE events SET available_tickets = 1 WHERE event_id = 2'],
    ['available_counted'],
  ],
  [
    'a wrong length of the waiting list',
    ['UPDATE events SET waiting_count = 5 WHERE event_id = 1'],
    ['waiting_counted'],
  ],
  [
    'a wrong counter of a waiting-list block',
    ['UPDATE waitlist_blocks SET waiting_count = 7'],
    ['blocks_counted'],
  ],
  ['a missing waiting-list block', ['DELETE FROM waitlist_blocks'], ['blocks_counted']],
  [
    'two claims of one user',
    [
      `UPDATE waitlist_entries SET user_id = 'ada' WHERE event_id = 1 AND sequence = 6`,
      `UPDATE claims SET user_id = 'nobody' WHERE user_id = 'fay'`,
    ],
    [
      'one_claim_each',
      'claims_match_rows',
      'waiting_means_waiting',
      'nothing_without_command',
      'changes_give_claims',
      'changes_match_rows',
    ],
  ],
  [
    'a missing claim',
    [`DELETE FROM claims WHERE user_id = 'cleo'`],
    ['claims_match_rows', 'changes_give_claims'],
  ],
  [
    'a claim without a booking or entry',
    [`INSERT INTO claims VALUES (1, 'zoe', 'booking', 1)`],
    ['claims_match_rows', 'changes_give_claims'],
  ],
  [
    'rows without an event',
    [`INSERT INTO claims VALUES (9, 'zoe', 'booking', 1)`],
    ['claims_match_rows', 'events_known'],
  ],
  [
    'a skipped sequence number',
    ['UPDATE events SET last_sequence = 12 WHERE event_id = 1'],
    ['numbers_given_once'],
  ],
  [
    'promotions in the wrong order',
    [
      `UPDATE bookings SET user_id = CASE user_id WHEN 'cleo' THEN 'dan' ELSE 'cleo' END WHERE promoted AND event_id = 1`,
      `UPDATE claims SET sequence = CASE user_id WHEN 'cleo' THEN 9 ELSE 7 END WHERE user_id IN ('cleo', 'dan')`,
      `UPDATE commands SET user_id = 'dan' WHERE outcome = 'already_booked' AND user_id = 'cleo' AND event_id = 1`,
    ],
    ['promoted_in_order', 'changes_give_claims', 'changes_match_rows'],
  ],
  [
    'a promotion that passed over an earlier entry',
    [
      `UPDATE waitlist_entries SET user_id = CASE sequence WHEN 4 THEN 'fay' ELSE 'dan' END WHERE event_id = 1 AND sequence IN (4, 6)`,
      `UPDATE waitlist_entries SET status = 'waiting', left_at = NULL WHERE event_id = 1 AND sequence = 4`,
      `UPDATE waitlist_entries SET status = 'promoted', left_at = now() WHERE event_id = 1 AND sequence = 6`,
      `UPDATE claims SET sequence = 4 WHERE user_id = 'fay'`,
      'UPDATE events SET waitlist_head_sequence = 4 WHERE event_id = 1',
    ],
    ['nobody_passed_over', 'changes_give_claims', 'changes_match_rows'],
  ],
  [
    'a ticket sold to somebody who came later than a waiting user',
    [
      // dan was on the list from 4 to 9. Number 6 becomes a ticket that was sold at once.
      `DELETE FROM waitlist_entries WHERE event_id = 1 AND sequence = 6`,
      `UPDATE commands SET outcome = 'booked', position = NULL, booking_sequence = 6 WHERE user_id = 'fay'`,
      `INSERT INTO bookings VALUES (1, 6, 'fay', 'confirmed', false, now(), NULL)`,
      `UPDATE claims SET kind = 'booking' WHERE user_id = 'fay'`,
      'UPDATE events SET total_tickets = 3, waiting_count = 1 WHERE event_id = 1',
      'UPDATE waitlist_blocks SET waiting_count = 1 WHERE event_id = 1',
    ],
    [
      'nobody_overtaken',
      'changes_give_claims',
      'changes_match_rows',
      'changes_have_commands',
      'effects_logged',
    ],
  ],
  [
    'a waiting-list head that is past the first entry',
    ['UPDATE events SET waitlist_head_sequence = 7 WHERE event_id = 1'],
    ['head_not_too_far'],
  ],
  [
    'a canceled booking without a time of cancellation',
    [`UPDATE bookings SET canceled_at = NULL WHERE event_id = 1 AND sequence = 1`],
    ['times_complete', 'changes_match_rows'],
  ],
  [
    'a wrong counter of held tickets',
    ['UPDATE events SET held_count = 1 WHERE event_id = 3'],
    ['held_counted'],
  ],
  [
    'a hold that no counter includes',
    [
      `UPDATE bookings SET status = 'held', canceled_at = NULL WHERE event_id = 3 AND user_id = 'kai'`,
    ],
    [
      'never_oversold',
      'available_counted',
      'held_counted',
      'due_in_time',
      'claims_match_rows',
      'lapsed_claims_match_holds',
      'changes_match_rows',
    ],
  ],
  [
    'a free ticket of an event that should have fewer tickets',
    ['UPDATE events SET capacity = 1 WHERE event_id = 2'],
    ['size_within_capacity', 'settings_logged'],
  ],
  [
    'a free ticket of a canceled event',
    [
      'ALTER TABLE events DROP CONSTRAINT events_canceled_has_no_free_ticket',
      'UPDATE events SET total_tickets = 1, available_tickets = 1, due_at = canceled_at WHERE event_id = 4',
    ],
    ['nothing_free_once_canceled'],
  ],
  [
    'a ticket that is withheld although nobody is on the waiting list',
    ['UPDATE events SET capacity = 5 WHERE event_id = 2'],
    ['withheld_only_while_waiting', 'settings_logged'],
  ],
  [
    'a hold for which no settle is planned',
    ['UPDATE events SET due_at = NULL WHERE event_id = 3'],
    ['due_in_time', 'reminders_in_time'],
  ],
  [
    'a settle that is planned for a time after the deadline of a hold',
    [`UPDATE events SET due_at = due_at + interval '1 hour' WHERE event_id = 3`],
    ['due_in_time', 'reminders_in_time'],
  ],
  [
    'a settle that is planned for the deadline of a hold, and too late for its reminder',
    [
      `UPDATE events e SET due_at = (SELECT min(expires_at) FROM bookings b WHERE b.event_id = 3 AND status = 'held')
       WHERE event_id = 3`,
    ],
    ['reminders_in_time'],
  ],
  [
    'a withheld ticket that could be handed out, and for which no settle is due',
    ['UPDATE events SET paused = false WHERE event_id = 3'],
    ['due_in_time', 'settings_logged'],
  ],
  [
    'claims of a canceled event that no settle will end',
    ['UPDATE events SET canceled_at = now(), waitlist_head_sequence = 0 WHERE event_id = 1'],
    ['due_in_time', 'settings_logged'],
  ],
  [
    'a hold whose deadline is earlier than its length allows',
    [`UPDATE bookings SET hold_seconds = 9999 WHERE user_id = 'mia'`],
    ['holds_have_deadlines'],
  ],
  [
    'a hold that lapsed before its deadline',
    [`UPDATE bookings SET expires_at = now() + interval '1 hour' WHERE status = 'expired'`],
    ['held_until_deadline'],
  ],
  [
    'a hold that was confirmed and is still a hold',
    [`UPDATE bookings SET confirmed_at = now() WHERE user_id = 'mia'`],
    ['held_until_deadline', 'nothing_without_command'],
  ],
  [
    'a promotion that is marked as a grant',
    [`UPDATE bookings SET granted = true WHERE user_id = 'ned'`],
    ['grants_recorded'],
  ],
  [
    'a grant that is not recorded as one',
    [`UPDATE bookings SET granted = false WHERE user_id = 'pia'`],
    [
      'grants_recorded',
      'nobody_passed_over',
      'booked_means_booked',
      'nothing_without_command',
      'changes_match_rows',
    ],
  ],
  [
    'a lapsed claim of another user’s hold',
    [`UPDATE claims SET sequence = 3 WHERE kind = 'lapsed'`],
    ['lapsed_claims_match_holds'],
  ],
  [
    'a hold without a claim',
    [`DELETE FROM claims WHERE user_id = 'mia'`],
    ['claims_match_rows', 'changes_give_claims'],
  ],
  [
    'a lapsed claim of a hold that is live',
    [`UPDATE claims SET kind = 'lapsed' WHERE user_id = 'mia'`],
    ['claims_match_rows', 'lapsed_claims_match_holds', 'changes_give_claims'],
  ],
  [
    'a booking of a canceled event that was passed over by its settles',
    [
      `UPDATE bookings SET status = 'confirmed', canceled_at = NULL WHERE event_id = 4 AND sequence = 1`,
    ],
    [
      'never_oversold',
      'available_counted',
      'claims_match_rows',
      'head_not_too_far',
      'changes_match_rows',
    ],
  ],
  [
    'an outcome about a hold without its deadline',
    [`UPDATE commands SET data = NULL WHERE outcome = 'held' AND user_id = 'mia'`],
    ['outcomes_known'],
  ],
  [
    'a hold that ends before the time that its user was told',
    [
      `UPDATE commands SET data = '{"expiresAtMs": 99999999999999}' WHERE outcome = 'held' AND user_id = 'mia'`,
    ],
    ['held_as_long_as_promised'],
  ],
  [
    'an outcome about a confirmation that its booking does not have',
    [`UPDATE bookings SET confirmed_at = NULL WHERE user_id = 'lea'`],
    ['booked_means_booked', 'nothing_without_command'],
  ],
  [
    'settings that are older than an outcome',
    ['UPDATE events SET version = 1 WHERE event_id = 3'],
    ['settings_as_decided', 'settings_logged'],
  ],
  [
    'an event that is no longer canceled',
    ['UPDATE events SET canceled_at = NULL WHERE event_id = 4'],
    ['withheld_only_while_waiting', 'settings_as_decided', 'settings_logged'],
  ],
  [
    'a hold that lapsed without a settle',
    [`DELETE FROM commands WHERE type = 'settle' AND event_id = 3`],
    ['nothing_without_command', 'changes_have_commands'],
  ],
  [
    'a claim that ended with its event without a settle',
    [`DELETE FROM commands WHERE type = 'settle' AND event_id = 4`],
    ['nothing_without_command', 'changes_have_commands'],
  ],
  [
    'a granted ticket without a command',
    [`DELETE FROM commands WHERE type = 'grant'`],
    ['nothing_without_command', 'changes_have_commands'],
  ],
  [
    'an outcome of an unknown kind',
    [command('aaaaaaaaaaaaaaaaaaaaa', 'book', 'zoe', 'perhaps')],
    ['outcomes_known'],
  ],
  [
    'an outcome that its command cannot have',
    [command('aaaaaaaaaaaaaaaaaaaaa', 'cancel', 'zoe', 'already_waiting')],
    ['outcomes_known'],
  ],
  [
    'an outcome about the waiting list without a position',
    [command('aaaaaaaaaaaaaaaaaaaaa', 'book', 'zoe', 'already_waiting')],
    ['outcomes_known'],
  ],
  [
    'an outcome that names somebody else’s booking',
    [command('aaaaaaaaaaaaaaaaaaaaa', 'book', 'zoe', 'already_booked', '7')],
    ['booked_means_booked'],
  ],
  [
    'two outcomes for one booking',
    [command('aaaaaaaaaaaaaaaaaaaaa', 'book', 'bob', 'booked', '2')],
    ['one_effect_each', 'effects_logged'],
  ],
  [
    'an outcome waiting without an entry in the waiting list',
    [command('aaaaaaaaaaaaaaaaaaaaa', 'book', 'zoe', 'waiting')],
    ['waiting_means_waiting', 'effects_logged'],
  ],
  [
    'an outcome with a promotion that did not happen',
    [`UPDATE commands SET promoted_user_id = 'zoe' WHERE promoted_user_id = 'dan'`],
    ['promoted_means_booked', 'nothing_without_command', 'effects_logged'],
  ],
  [
    'a booking without a command',
    [`DELETE FROM commands WHERE event_id = 2 AND user_id = 'hal' AND type = 'book'`],
    ['nothing_without_command', 'changes_have_commands'],
  ],
  [
    'a replayed outcome that differs from the first',
    [`UPDATE commands SET outcome = 'already_booked' WHERE replay_of IS NOT NULL`],
    ['replays_repeat'],
  ],
  [
    'two outcomes for one idempotency key',
    [
      `UPDATE commands SET outcome = 'rejected', booking_sequence = NULL, replay_of = NULL WHERE replay_of IS NOT NULL`,
    ],
    ['one_answer_per_key'],
  ],
  [
    'an idempotency key without a command',
    [`UPDATE idempotency_keys SET command_id = 'none'`],
    ['keys_have_command'],
  ],
  [
    'a number of a change that was skipped',
    [
      PRUNING,
      'UPDATE changes SET no = no + 1 WHERE (event_id, no) IN (SELECT event_id, last_change FROM events WHERE event_id = 1)',
      'UPDATE events SET last_change = last_change + 1 WHERE event_id = 1',
    ],
    ['changes_numbered'],
  ],
  [
    'a last number that no change has',
    ['UPDATE events SET last_change = last_change + 1 WHERE event_id = 1'],
    ['changes_numbered'],
  ],
  [
    'an event whose log was removed',
    [PRUNING, 'DELETE FROM changes WHERE event_id = 2'],
    ['changes_numbered'],
  ],
  [
    'a last change of a user that is not logged',
    unlogged(1, `user_id = 'bob' AND type = 'booking.canceled'`),
    ['changes_give_claims', 'changes_match_rows', 'effects_logged'],
  ],
  [
    'a first change of a user that is not logged',
    unlogged(3, `user_id = 'lea' AND type = 'booking.held'`),
    ['changes_follow', 'effects_logged'],
  ],
  [
    'a waiting-list entry that is not logged',
    unlogged(1, `user_id = 'cleo' AND type = 'waitlist.joined'`),
    ['changes_match_rows', 'changes_follow', 'effects_logged'],
  ],
  [
    'a promotion that is not logged',
    unlogged(1, `user_id = 'dan' AND type = 'waitlist.promoted'`),
    ['changes_give_claims', 'changes_match_rows', 'effects_logged'],
  ],
  [
    'a hold that lapsed and is still a hold by the log',
    unlogged(3, `type = 'booking.expired'`),
    ['changes_give_claims', 'changes_match_rows'],
  ],
  [
    'an end of a claim with its event that is not logged',
    unlogged(4, `type = 'booking.canceled' AND user_id = 'rex'`),
    ['changes_give_claims', 'changes_match_rows'],
  ],
  [
    'a deadline in the log that the hold does not have',
    [PRUNING, `UPDATE changes SET data = '{"expiresAtMs": 1}' WHERE type = 'booking.extended'`],
    ['changes_give_claims', 'changes_match_rows'],
  ],
  [
    'an origin in the log that the booking does not have',
    [PRUNING, `UPDATE changes SET data = NULL WHERE data ->> 'origin' = 'grant'`],
    ['changes_match_rows'],
  ],
  [
    'a time in the log that the row does not have',
    [PRUNING, `UPDATE changes SET at = at - interval '1 second' WHERE type = 'booking.expired'`],
    ['changes_match_rows', 'changes_have_commands'],
  ],
  [
    'a change of a claim that the event does not have',
    [
      PRUNING,
      `UPDATE changes SET sequence = 77 WHERE event_id = 2 AND user_id = 'hal' AND type = 'booking.canceled'`,
    ],
    ['changes_match_rows', 'changes_follow'],
  ],
  [
    'a change of a deleted event that names a claim',
    [`INSERT INTO changes VALUES (9, 1, now() - interval '3 days', 1, 'booking.confirmed', 'zoe')`],
    ['changes_match_rows'],
  ],
  [
    'a last ticket whose sale is not logged',
    unlogged(1, `type = 'event.sold_out'`),
    ['sold_out_logged'],
  ],
  [
    'a free ticket that is not logged as available',
    [
      'UPDATE events SET available_tickets = 0, total_tickets = 1, capacity = 1 WHERE event_id = 2',
      PRUNING,
      `UPDATE changes SET data = jsonb_set(data, '{settings,totalTickets}', '1')
       WHERE event_id = 2 AND type = 'event.created'`,
    ],
    ['sold_out_logged'],
  ],
  [
    'settings that were changed without a change',
    unlogged(3, `type = 'event.updated' AND data #>> '{settings,name}' = 'Gala'`),
    ['settings_logged'],
  ],
  [
    'a setting that differs from the log',
    [`UPDATE events SET venue = 'Town hall' WHERE event_id = 3`],
    ['settings_logged'],
  ],
  [
    'an end of an event that is not logged',
    unlogged(4, `type = 'event.canceled'`),
    ['settings_logged'],
  ],
  [
    'a change by another caller than that of its command',
    [PRUNING, `UPDATE changes SET actor = 'zoe' WHERE event_id = 2 AND no = 2`],
    ['changes_have_commands'],
  ],
  [
    'a change of a command that cannot cause it',
    [
      PRUNING,
      `UPDATE changes SET type = 'booking.held', data = '{"expiresAtMs": 1}' WHERE event_id = 2 AND user_id = 'gus'`,
    ],
    ['changes_give_claims', 'changes_match_rows', 'changes_have_commands', 'effects_logged'],
  ],
  [
    'a change without its command',
    [PRUNING, `UPDATE changes SET command_id = 'none' WHERE event_id = 2 AND user_id = 'gus'`],
    ['changes_have_commands', 'effects_logged'],
  ],
  [
    'a wrong last change in a log whose beginning was pruned',
    [
      PRUNING,
      'DELETE FROM changes WHERE event_id = 2 AND no <= 2',
      `UPDATE changes SET type = 'booking.expired' WHERE event_id = 2 AND type = 'booking.canceled'`,
    ],
    ['changes_match_rows', 'changes_have_commands'],
  ],
]

describe('ops verify', () => {
  it('finds no broken promise in rows that the system wrote', async () => {
    expect(await broken(system.databaseUrl)).toEqual([])
  })

  it.each(cases)('finds %s', async (_, statements, expected) => {
    expect(await broken(await damaged(...statements))).toEqual(expected)
  })

  it('checks only the events that --event names', async () => {
    const url = await damaged('UPDATE events SET available_tickets = 1 WHERE event_id = 2')
    expect(await broken(url, [1])).toEqual([])
    expect(await broken(url, [2])).toEqual(['available_counted'])
  })

  it('accepts bookings and entries whose commands were pruned', async () => {
    const url = await damaged(
      `UPDATE bookings SET booked_at = booked_at - interval '3 days', canceled_at = canceled_at - interval '3 days'`,
      `UPDATE waitlist_entries SET since = since - interval '3 days', left_at = left_at - interval '3 days'`,
      `UPDATE bookings SET held_at = held_at - interval '3 days', expires_at = expires_at - interval '3 days',
        confirmed_at = confirmed_at - interval '3 days' WHERE status <> 'held'`,
      PRUNING,
      `UPDATE changes SET at = at - interval '3 days'`,
      'DELETE FROM commands',
      'DELETE FROM idempotency_keys',
    )
    expect(await broken(url)).toEqual([])
  })

  it('accepts logs whose beginning was pruned, and events of an earlier release without a log', async () => {
    for (const statements of [
      ['DELETE FROM changes WHERE no <= 3'],
      [
        'DELETE FROM changes WHERE (event_id, no) NOT IN (SELECT event_id, last_change FROM events)',
      ],
      ['DELETE FROM changes', 'UPDATE events SET last_change = 0'],
    ])
      expect(await broken(await damaged(PRUNING, ...statements))).toEqual([])
  })

  it('accepts claims that workers of an earlier release changed without logging it', async () => {
    const url = await damaged(...unlogged(2, `(no = 1 OR type = 'booking.canceled')`))
    expect(await broken(url)).toEqual([])
  })

  it('accepts the log of an event that was deleted, and of one that was created again', async () => {
    const created = `'event.created', NULL, NULL, NULL, '{"settings": {"totalTickets": 4}}'`
    const recreated = await damaged(
      `INSERT INTO changes VALUES (8, 1, now(), NULL, ${created}), (9, 1, now(), NULL, ${created}),
         (9, 2, now(), NULL, ${created}), (9, 3, now(), NULL, ${created})`,
      `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, last_change)
       VALUES (9, 4, 4, 4, 3)`,
    )
    expect(await broken(recreated)).toEqual([])
    const restarted = await damaged(
      `INSERT INTO changes VALUES (9, 1, now(), NULL, ${created}), (9, 2, now(), NULL, ${created})`,
      `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, last_change)
       VALUES (9, 4, 4, 4, 1)`,
    )
    expect(await broken(restarted)).toEqual(['changes_numbered'])
  })

  it('finds accepted commands in lines that no process serves', async () => {
    await queryOnce(
      system.databaseUrl,
      `INSERT INTO accepted_jobs (job_id, line_name, payload, accepted_at)
        VALUES ('line-7.x.1', 'line-7', '{}', now() - interval '1 minute')`,
    )
    const { exitCode, data } = await runOps(['verify', '--json'], system.env)
    await queryOnce(system.databaseUrl, 'DELETE FROM accepted_jobs')

    const broken = data.checks.filter((check: { broken: number }) => check.broken > 0)
    expect(exitCode).toBe(1)
    expect(broken).toMatchObject([
      {
        name: 'accepted_kept',
        examples: [
          { detail: 'line-7.x.1 is neither decided nor in its line, and its record is malformed' },
        ],
      },
      {
        name: 'lines_known',
        examples: [{ detail: 'jobs of line-7 are accepted, and no process serves it' }],
      },
    ])
  })

  it('ends with exit code 1 if an event does not exist', async () => {
    const env = { DATABASE_URL: system.databaseUrl }
    const unknown = await runOps(['verify', '--event', '404'], env)
    expect(unknown).toMatchObject({ exitCode: 1, stdout: 'There is no event 404.\n' })
    const both = await runOps(['verify', '--event', '1', '--event', '404', '--json'], env)
    expect(both).toMatchObject({ exitCode: 1, data: { ok: false, unknownEvents: [404] } })
    expect(both.data.checks.length).toBeGreaterThanOrEqual(20)
  })

  it('reports broken promises as text and as JSON and ends with exit code 1', async () => {
    const fine = await runOps(['verify', '--json'], { DATABASE_URL: system.databaseUrl })
    expect(fine).toMatchObject({ exitCode: 0, data: { ok: true } })
    expect(fine.data.checks.length).toBeGreaterThanOrEqual(20)

    const url = await damaged('UPDATE waitlist_blocks SET waiting_count = 7')
    const found = await runOps(['verify'], { DATABASE_URL: url })
    expect(found.exitCode).toBe(1)
    expect(found.stdout).toMatch(/BROKEN {2}each block .*\n {10}event 1: block 0 counts 7, 2 wait/)
    expect(found.stdout).toMatch(/1 promise of \d+ broken: blocks_counted/)
  })

  it('does not wait for a transaction that has locked an event', async () => {
    const url = await damaged()
    const deciding = new pg.Client({ connectionString: url })
    await deciding.connect()
    onTestFinished(() => deciding.end())
    await deciding.query('BEGIN')
    await deciding.query('SELECT FROM events FOR UPDATE')
    await deciding.query('UPDATE events SET available_tickets = 1 WHERE event_id = 2')
    expect(await broken(url)).toEqual([])
  })
})

describe('the command line of ops', () => {
  it('prints a usage text for --help', async () => {
    for (const args of [
      ['--help'],
      ['verify', '--help'],
      ['reconcile', '-h'],
      ['drain', '--help', '--json'],
    ]) {
      const { exitCode, stdout } = await runOps(
        args.filter((arg) => arg !== '--json'),
        {},
      )
      expect([exitCode, stdout.startsWith('Usage: npm run ops -- ')]).toEqual([0, true])
    }
  })

  it.each([
    [['fly']],
    [['verify', '--loud']],
    [['verify', '--examples', 'many']],
    [['event', 'seven']],
    [['drain', 'now']],
    [['--loud']],
    [[]],
  ])('ends with exit code 2 for the arguments %j', async (args) => {
    expect((await runOps(args, { DATABASE_URL: 'postgres://127.0.0.1:1/x' })).exitCode).toBe(2)
  })

  it('prints the version of this build', async () => {
    expect(await runOps(['--version'], {})).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n` })
  })

  it('shows the status of both servers, even if one is out of reach', async () => {
    const { env } = system
    const fine = await runOps(['status'], env)
    expect(fine.exitCode).toBe(0)
    expect(fine.stdout).toMatch(
      /^ticket-line \S+\nPostgreSQL \S+.*: 4 events, \d+ on waiting lists, 2 tickets held, 1 ticket withheld\nRedis \S+: .*\n0 API processes, 0 worker processes and 0 notifier processes connected\nLines: no undecided commands\n$/,
    )
    const away = await runOps(['status', '--json'], { ...env, REDIS_URL: 'redis://127.0.0.1:1' })
    expect(away).toMatchObject({
      exitCode: 3,
      data: { ok: false, database: { reachable: true }, redis: { reachable: false } },
    })
    const empty = await createEmptyDatabase(system.databaseUrl.replace(template, 'postgres'))
    onTestFinished(() => empty.drop())
    const unmigrated = await runOps(['status'], { ...env, DATABASE_URL: empty.url })
    expect(unmigrated.exitCode).toBe(1)
    expect(unmigrated.stdout).toMatch(/ATTENTION: the database lacks \d+ migration/)
  })

  it('counts notifiers, and says that webhooks get nothing while none is connected', async () => {
    await queryOnce(
      system.databaseUrl,
      `INSERT INTO webhooks (webhook_id, owner, owner_role, url, format, secret)
        VALUES (gen_random_uuid(), 'olga', 'organizer', 'http://127.0.0.1:9/', 'single', '')`,
    )
    const without = await runOps(['status', '--json'], system.env)
    expect(without.exitCode).toBe(1)
    expect(without.data.redis.said.processes.notifiers).toBe(0)
    expect(without.data.attention).toEqual([
      'no notifier is connected, so changes are not delivered (enabled webhooks: 1)',
    ])

    const notifier = await system.addNotifier()
    const beside = await runOps(['status', '--json'], system.env)
    expect(beside).toMatchObject({ exitCode: 0, data: { attention: [] } })
    expect(beside.data.redis.said.processes).toEqual({ apis: 0, workers: 0, notifiers: 1 })

    await notifier.stop()
    await queryOnce(system.databaseUrl, 'DELETE FROM webhooks')
  })

  it('ends with exit code 2 if a setting is missing and with 3 if a server is out of reach', async () => {
    expect(await runOps(['verify', '--json'], {})).toMatchObject({
      exitCode: 2,
      data: { ok: false, error: 'DATABASE_URL is not set' },
    })
    const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/x', REDIS_URL: 'redis://127.0.0.1:1' }
    expect(await runOps(['verify', '--json'], nowhere)).toMatchObject({
      exitCode: 3,
      data: { ok: false },
    })
    expect((await runOps(['drain'], nowhere)).exitCode).toBe(3)
  })
})
