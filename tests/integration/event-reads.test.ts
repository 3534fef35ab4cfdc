import {
  type EventFilter,
  type ListedEvent,
  type Pool,
  pageEvents,
  pageHolds,
  pageUserBookings,
  pageWaitingList,
  readEventStaff,
  readEvents,
  readUserClaim,
  type Standing,
} from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { explainOn, openReads } from './explain.ts'
import { createLineKit, type LineKit } from './line-kit.ts'

const EVENTS = 30_000
/** Bookings that `collector` has, and as many that ended. */
const COLLECTED = 10_000

let kit: LineKit
let pool: Pool
let close: () => Promise<void>

beforeAll(async () => {
  kit = await createLineKit()
  ;({ pool, close } = openReads(kit.databaseUrl))
  // Of each thousand events one is canceled, paused, not open yet, unlisted, and olga's; one in ten
  // is open. One in 5,000 is shared.
  await kit.query(
    `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, last_sequence, name, name_key,
      starts_at, opens_at, closes_at, paused, canceled_at, listed, owner, shared)
      SELECT n, 10, 10, CASE WHEN n % 1000 = 1 THEN 0 ELSE 10 END, 9, 'Event ' || n, 'EVENT ' || n,
        CASE WHEN n % 7 > 0 THEN now() + (n % 700 - 350) * interval '1 day' END,
        CASE WHEN n % 1000 = 3 THEN now() + interval '1 day' END,
        CASE WHEN n % 1000 NOT IN (2, 3) AND n % 1000 < 900 THEN now() - interval '1 day' END, n % 1000 = 2,
        CASE WHEN n % 1000 = 1 THEN now() END, n % 1000 <> 4,
        CASE WHEN n % 1000 = 5 THEN 'olga' WHEN n % 10 > 0 THEN 'owner-' || n % 500 END, n % 5000 = 0
      FROM generate_series(1, $1::int) AS n`,
    [EVENTS],
  )
  await kit.query(
    `INSERT INTO event_organizers (event_id, user_id, position)
      SELECT n, u.id, u.place FROM generate_series(1, $1::int) AS n,
        (VALUES ('otto', 1), ('olga', 2)) AS u (id, place) WHERE n % 6000 IN (0, 5)
      UNION ALL
      SELECT n, 'helper-' || n % 1000, 3 FROM generate_series(1, $1::int) AS n WHERE n % 6000 NOT IN (0, 5)`,
    [EVENTS],
  )
  await kit.query(
    `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
      SELECT n, m, 'user-' || (n * 3 + m) % 20000, 'confirmed', false, now() - n * interval '1 second'
      FROM generate_series(1, $1::int) AS n, generate_series(1, 3) AS m`,
    [EVENTS],
  )
  await kit.query(
    `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, canceled_at)
      SELECT n, 4, 'collector', 'confirmed', false, now() - n * interval '1 minute', NULL
      FROM generate_series(1, $1::int) AS n WHERE n % 2 = 0
      UNION ALL
      SELECT n, sequence, user_id, 'canceled', false, now() - interval '1 year', now() - n * interval '1 minute'
      FROM generate_series(1, $1::int) AS n, (VALUES (5, 'collector'), (8, 'ex-collector')) AS u (sequence, user_id)
      UNION ALL
      SELECT n, 9, 'regular', 'confirmed', false, now() - n * interval '1 minute', NULL
      FROM generate_series(1, $1::int, 100) AS n`,
    [COLLECTED],
  )
  await kit.query(
    `INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since, left_at)
      SELECT n, 6, 'collector', 'waiting', now() - n * interval '1 minute', NULL
      FROM generate_series(1, $1::int) AS n WHERE n % 2 = 1
      UNION ALL
      SELECT n, 7, 'collector', 'promoted', now(), now() FROM generate_series(1, $1::int) AS n`,
    [COLLECTED],
  )
  await kit.query(
    `INSERT INTO claims SELECT event_id, 'user-' || event_id || '-' || sequence, 'booking', sequence
      FROM bookings WHERE user_id LIKE 'user-%'
      UNION ALL
      SELECT event_id, user_id, 'booking', sequence FROM bookings WHERE user_id = 'regular'
      UNION ALL
      SELECT event_id, 'collector', CASE sequence WHEN 4 THEN 'booking' ELSE 'waiting' END, sequence FROM (
        SELECT event_id, sequence FROM bookings WHERE user_id = 'collector' AND sequence = 4
        UNION ALL SELECT event_id, sequence FROM waitlist_entries WHERE user_id = 'collector' AND sequence = 6
      ) AS collected`,
  )
  await kit.query('ANALYZE')
})
afterAll(async () => {
  await close?.()
  await kit?.stop()
})

const explain = (read: (pool: Pool) => Promise<unknown>) => explainOn(pool, read)

const firstPage: EventFilter = {
  states: undefined,
  namePrefix: '',
  startsAfterMs: undefined,
  staff: undefined,
  order: 'eventId',
  after: undefined,
  limit: 51,
}

const start = { startsAtUs: String(Date.now() * 1000), eventId: 5 }
const olga: EventFilter['staff'] = { userId: 'olga', role: 'organizer' }

describe('a page of events', () => {
  it.each<[string, Partial<EventFilter>]>([
    ['all events', {}],
    ['a later page', { after: { startsAtUs: null, eventId: 20_000 } }],
    ['events of an admin', { staff: { userId: 'root', role: 'admin' } }],
    ['canceled events', { states: ['canceled'] }],
    ['closed events', { states: ['closed'] }],
    ['scheduled events', { states: ['scheduled'] }],
    ['paused events', { states: ['paused'] }],
    ['open events', { states: ['open'] }],
    ['scheduled events by start', { states: ['scheduled'], order: 'startsAt' }],
    ['events by a common prefix', { namePrefix: 'event 1' }],
    ['events by a rare prefix', { namePrefix: 'event 2999' }],
    ['events by an unknown prefix', { namePrefix: 'concert' }],
    ['events by a prefix and start', { namePrefix: 'event 299', order: 'startsAt' }],
    ['events by start', { order: 'startsAt' }],
    ['events by start, the latest first', { order: '-startsAt' }],
    ['a later page by start', { order: 'startsAt', after: start }],
    ['a later page by start, the latest first', { order: '-startsAt', after: start }],
    ['the last pages by start', { order: 'startsAt', after: { startsAtUs: null, eventId: 5 } }],
    ['events that start later', { startsAfterMs: Date.now() }],
    ['events that start much later', { startsAfterMs: Date.now() + 348 * 86_400_000 }],
    ['events that start later, by start', { startsAfterMs: Date.now(), order: 'startsAt' }],
  ])('reads few rows to find %s', async (_, filter) => {
    const { plan, pages } = await explain((spy) => pageEvents(spy, { ...firstPage, ...filter }))
    expect(plan).not.toContain('Seq Scan')
    expect(pages).toBeLessThan(100)
  })
})

describe('the events of which a user is staff', () => {
  const idsOf = async (staff: EventFilter['staff'], order: EventFilter['order'] = 'eventId') =>
    (await pageEvents(pool, { ...firstPage, staff, order, limit: 100 })).map(
      ({ eventId }) => eventId,
    )
  const shared = [5000, 10_000, 15_000, 20_000, 25_000, 30_000]
  const listed = Array.from({ length: 5 }, (_, i) => [i * 6000 + 5, i * 6000 + 6000]).flat()

  it.each<[string, Partial<EventFilter>]>([
    ['events of an owner', { staff: olga }],
    ['events of an owner by start', { staff: olga, order: 'startsAt' }],
    [
      'open events of an owner, the latest first',
      { staff: olga, states: ['open'], order: '-startsAt' },
    ],
    ['events of an organizer', { staff: { userId: 'otto', role: 'organizer' } }],
    [
      'a later page of an organizer',
      { staff: { userId: 'otto', role: 'organizer' }, after: start },
    ],
    ['events of an organizer without events', { staff: { userId: 'ulla', role: 'organizer' } }],
  ])('are found without reading those of others: %s', async (_, filter) => {
    const { plan, pages } = await explain((spy) => pageEvents(spy, { ...firstPage, ...filter }))
    expect(plan).not.toContain('Seq Scan')
    expect(pages).toBeLessThan(200)
  })

  it('are those that they own, that list them, and that are shared, each once', async () => {
    const owned = Array.from({ length: 30 }, (_, i) => i * 1000 + 5)
    const expected = new Set([...shared, ...listed, ...owned])
    const found = await idsOf(olga)
    expect(found).toEqual([...expected].toSorted((a, b) => a - b))
    expect((await idsOf(olga, 'startsAt')).toSorted((a, b) => a - b)).toEqual(found)
  })

  it('are those that list them and that are shared, for an organizer who owns none', async () => {
    const otto: EventFilter['staff'] = { userId: 'otto', role: 'organizer' }
    expect(new Set(await idsOf(otto))).toEqual(new Set([...shared, ...listed]))
    expect(new Set(await idsOf({ ...otto, eventIds: [5, 6, 6000] }))).toEqual(new Set([5, 6000]))
  })

  it('are all events for an admin', async () => {
    expect(await idsOf({ userId: 'root', role: 'admin' })).toHaveLength(100)
    expect(await idsOf({ userId: 'root', role: 'admin', eventIds: [6] })).toEqual([6])
  })

  it('have the same order on one long page and on many short ones', async () => {
    for (const order of ['eventId', 'startsAt', '-startsAt'] as const) {
      const whole = await pageEvents(pool, { ...firstPage, staff: olga, order, limit: 100 })
      const pages: ListedEvent[] = []
      for (;;) {
        const after = pages.at(-1)?.place
        const page = await pageEvents(pool, { ...firstPage, staff: olga, order, after, limit: 7 })
        if (page.length === 0) break
        pages.push(...page)
      }
      expect(pages.map(({ eventId }) => eventId)).toEqual(whole.map(({ eventId }) => eventId))
    }
  })
})

describe('a page of a user’s bookings', () => {
  const all: Standing[] = ['booked', 'held', 'waiting', 'ended']
  const after = { sinceUs: String((Date.now() - 86_400_000) * 1000), eventId: 5, sequence: 5 }
  it.each([
    ['ex-collector', all, undefined],
    ['ex-collector', all, after],
    ['ex-collector', ['ended'], undefined],
    ['regular', all, undefined],
    ['regular', all, after],
    ['regular', ['booked'], undefined],
    ['regular', ['held'], undefined],
    ['regular', ['waiting'], after],
    ['user-5', all, undefined],
    ['nobody', all, undefined],
  ] as const)('reads few rows for %s: %j after %j', async (userId, standings, place) => {
    const { plan, pages } = await explain((spy) =>
      pageUserBookings(spy, userId, { standings, after: place, limit: 51 }),
    )
    expect(plan).not.toMatch(/Seq Scan on (bookings|waitlist_entries|claims|events)/)
    expect(pages).toBeLessThan(1000)
  })

  it('finds live claims by the primary key, and ended ones in the order of time', async () => {
    const { plan } = await explain((spy) =>
      pageUserBookings(spy, 'collector', { standings: all, after: undefined, limit: 51 }),
    )
    for (const index of [
      'claims_event_id_user_id_pk',
      'bookings_ended_of_user',
      'waitlist_entries_ended_of_user',
    ])
      expect(plan).toMatch(new RegExp(`(using|Bitmap Index Scan on) ${index}`))
  })

  it('looks up each live claim of a collector by its key', async () => {
    const { plan, pages } = await explain((spy) =>
      pageUserBookings(spy, 'collector', { standings: all, after: undefined, limit: 51 }),
    )
    expect(plan).not.toMatch(/Seq Scan on (bookings|waitlist_entries|claims|events)/)
    expect(pages).toBeLessThan(8 * COLLECTED)
  })
})

describe('the reads of one event', () => {
  it('finds events with their settings by their ids', async () => {
    const { plan, pages } = await explain((spy) => readEvents(spy, [7, 20_000]))
    expect(plan).toContain('events_pkey')
    expect(pages).toBeLessThan(20)
  })

  it('finds the staff of events by their ids', async () => {
    const { plan, pages } = await explain((spy) => readEventStaff(spy, [3000, 6000]))
    expect(plan).toContain('events_pkey')
    expect(plan).not.toContain('Seq Scan on events')
    expect(pages).toBeLessThan(20)
    expect([...(await readEventStaff(pool, [6000, 5, 10_000, 99_999]))].toSorted()).toEqual([
      [10_000, { owner: null, shared: true, organizers: ['helper-0'] }],
      [5, { owner: 'olga', shared: false, organizers: ['otto', 'olga'] }],
      [6000, { owner: null, shared: false, organizers: ['otto', 'olga'] }],
    ])
  })

  it('finds a claim by its key, in one statement', async () => {
    const { plan, pages } = await explain((spy) => readUserClaim(spy, 7, 'user-7-1'))
    expect(plan).toMatch(/Index Cond: \(\(user_id = .*AND \(event_id = /)
    expect(plan).not.toMatch(/Seq Scan on (events|claims|bookings)/)
    expect(pages).toBeLessThan(20)
  })

  it('finds the few holds of an event with many bookings', async () => {
    await kit.query(
      `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, held_at, hold_seconds, expires_at)
        SELECT 8, n, 'holder-' || n, CASE WHEN n % 10000 = 0 THEN 'held' ELSE 'confirmed' END, false, now(), now(), 60, now()
        FROM generate_series(10, 50000) AS n`,
    )
    await kit.query('ANALYZE bookings')
    const { plan, pages } = await explain((spy) => pageHolds(spy, 8, 0, 51))
    expect(plan).toContain('bookings_held')
    expect(pages).toBeLessThan(50)
  })

  it('reads no rows of the lists of a canceled event', async () => {
    await kit.query(
      'UPDATE events SET canceled_at = now(), available_tickets = 0 WHERE event_id = 8',
    )
    expect(await pageHolds(pool, 8, 0, 51)).toEqual([])
    expect(await pageWaitingList(pool, 8, 0, 51)).toEqual([])
    const { pages } = await explain((spy) => pageHolds(spy, 8, 0, 51))
    expect(pages).toBeLessThan(10)
  })
})
