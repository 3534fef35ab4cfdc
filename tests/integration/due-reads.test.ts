import {
  createDatabase,
  KEYED_PLANS,
  pageBookings,
  pageHolds,
  readDueEvents,
  readEventDeadlines,
  readHoldsOverview,
} from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { fillHeldEvent } from '../stack/due-rows.ts'
import { explainOn, openReads } from './explain.ts'
import { createLineKit, type LineKit } from './line-kit.ts'

const EVENTS = 100_000

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
  await kit.query(
    `INSERT INTO events (event_id, capacity, total_tickets, available_tickets)
      SELECT n, 10, 10, 10 FROM generate_series(1, $1::int) AS n`,
    [EVENTS],
  )
  await kit.query('ANALYZE events')
})
afterAll(() => kit?.stop())

/** A connection like the one of the clock. */
function clockPool() {
  const { pool, close } = createDatabase({
    url: kit.databaseUrl,
    poolSize: 1,
    applicationName: 'clock test',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
    sessionSettings: KEYED_PLANS,
    onIdleError: () => undefined,
  })
  onTestFinished(close)
  return pool
}

const client = {
  query: (sql: string, values?: unknown[]) => kit.query(sql, values),
} as unknown as Parameters<typeof fillHeldEvent>[0]

/** Adds an event with holds. @returns its id */
let lastEventId = EVENTS
async function addEvent(expiresInMs: number, more = {}): Promise<number> {
  lastEventId += 1
  await fillHeldEvent(client, { eventId: lastEventId, held: 1, expiresInMs, ...more })
  return lastEventId
}

async function removeEvents(): Promise<void> {
  await kit.query('DELETE FROM events WHERE event_id > $1', [EVENTS])
}

describe('the read of the clock', () => {
  it('returns nothing if nothing is or will be due', async () => {
    await removeEvents()
    expect(await readDueEvents(clockPool(), undefined, 500)).toEqual({
      eventIds: [],
      next: undefined,
      untilNextMs: undefined,
    })
  })

  it('returns the longest overdue event first, and how long it is until the next deadline', async () => {
    await removeEvents()
    const second = await addEvent(-1000)
    const first = await addEvent(-2000)
    await addEvent(3_600_000)
    await addEvent(60_000)

    const page = await readDueEvents(clockPool(), undefined, 500)

    expect(page.eventIds).toEqual([first, second])
    expect(page.next).toBeUndefined()
    expect(page.untilNextMs).toBeGreaterThan(30_000)
    expect(page.untilNextMs).toBeLessThanOrEqual(60_000)
  })

  it('returns each event once in pages, also if many have the same deadline to the microsecond', async () => {
    await removeEvents()
    const eventIds: number[] = []
    for (let i = 0; i < 7; i++) eventIds.push(await addEvent(-1000))
    await kit.query(
      `UPDATE events SET due_at = '2026-01-01 00:00:00.123456+00' WHERE event_id > $1`,
      [EVENTS],
    )
    const pool = clockPool()
    const pages: number[][] = []
    let after: Awaited<ReturnType<typeof readDueEvents>>['next']
    do {
      const page = await readDueEvents(pool, after, 3)
      pages.push(page.eventIds)
      after = page.next
    } while (after !== undefined)

    expect(pages.map((page) => page.length)).toEqual([3, 3, 1])
    expect(pages.flat()).toEqual(eventIds)
  })

  it('reads only events with deadlines, among any number of others', async () => {
    await removeEvents()
    await addEvent(-1000)
    await addEvent(60_000)
    const pool = clockPool()
    await readDueEvents(pool, undefined, 500)

    const { rows } = await pool.query(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE reads_due_events('-infinity', 0, 500)`,
    )
    const plan = JSON.stringify(rows)
    expect(plan).toContain('events_due')
    expect(plan).not.toContain('Seq Scan')
    expect(rows[0]['QUERY PLAN'][0].Plan['Shared Hit Blocks']).toBeLessThan(50)
  })
})

describe('the figures about holds', () => {
  it('sum up held and withheld tickets, and measure the most overdue deadline', async () => {
    await removeEvents()
    expect(await readHoldsOverview(kit.database.pool)).toEqual({
      overdueSeconds: 0,
      heldTickets: 0,
      withheldTickets: 0,
    })
    await addEvent(-5000, { held: 3 })
    await addEvent(60_000, { held: 2, waiting: 4, withheld: 3 })

    const overview = await readHoldsOverview(kit.database.pool)

    expect(overview).toMatchObject({ heldTickets: 5, withheldTickets: 3 })
    expect(overview.overdueSeconds).toBeGreaterThanOrEqual(5)
    expect(overview.overdueSeconds).toBeLessThan(60)
  })

  it('are read from indexes that have no other events', async () => {
    await removeEvents()
    await addEvent(60_000, { held: 2, waiting: 4, withheld: 3 })
    await kit.query('ANALYZE events')
    const client = await kit.database.pool.connect()
    onTestFinished(() => client.release())
    await readHoldsOverview(client as never)

    const { rows } = await client.query('EXPLAIN (FORMAT JSON) EXECUTE reads_holds_overview')
    const plan = JSON.stringify(rows)
    expect(plan).toContain('events_due')
    expect(plan).toContain('events_withheld')
    expect(plan).not.toContain('Seq Scan')
  })
})

describe('the deadlines of an event', () => {
  it('name the holds that lapse first, in order of deadline and number', async () => {
    await removeEvents()
    const eventId = await addEvent(60_000, { held: 4 })
    await kit.query(
      `UPDATE bookings SET expires_at = expires_at - interval '10 s', promoted = true
        WHERE event_id = $1 AND sequence = 3`,
      [eventId],
    )

    const deadlines = await readEventDeadlines(kit.database.pool, eventId, 3)

    expect(deadlines).toMatchObject({ circulatingTickets: 4, claimsToEnd: 0 })
    expect(deadlines?.nextHolds.map((hold) => [hold.bookingId, hold.userId, hold.offered])).toEqual(
      [
        [`${eventId}-3`, 'h2', true],
        [`${eventId}-1`, 'h0', false],
        [`${eventId}-2`, 'h1', false],
      ],
    )
    expect(await readEventDeadlines(kit.database.pool, 999_999_999, 3)).toBeUndefined()
  })

  it('are read from an index, among any number of holds', async () => {
    await removeEvents()
    const eventId = await addEvent(60_000, { held: 20_000 })
    await kit.query('ANALYZE bookings')
    const client = await kit.database.pool.connect()
    onTestFinished(() => client.release())
    await readEventDeadlines(client as never, eventId, 5)

    const { rows } = await client.query(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE reads_event_deadlines(${eventId}, 5)`,
    )
    const plan = JSON.stringify(rows)
    expect(plan).toContain('bookings_held')
    expect(plan).not.toContain('Seq Scan')
    expect(rows[0]['QUERY PLAN'][0].Plan['Shared Hit Blocks']).toBeLessThan(50)
  })
})

describe('a page of', () => {
  it.each([
    { list: 'bookings', read: pageBookings, index: 'bookings_booked_listed', first: 20_001 },
    { list: 'holds', read: pageHolds, index: 'bookings_held_listed', first: 20_061 },
  ])('$list is found without reading what is before it', async ({ read, index, first }) => {
    await removeEvents()
    const eventId = await addEvent(3_600_000, { held: 20_120 })
    await kit.query(
      `UPDATE bookings SET status = CASE WHEN sequence <= 20000 THEN 'expired' ELSE 'confirmed' END
        WHERE event_id = $1 AND sequence <= 20060`,
      [eventId],
    )
    await kit.query('VACUUM ANALYZE bookings')
    const { pool, close } = openReads(kit.databaseUrl)
    onTestFinished(close)

    const page = await read(pool, eventId, 0, 51)
    const { plan, pages } = await explainOn(pool, (explaining) => read(explaining, eventId, 0, 51))

    expect(page.map(({ sequence }: { sequence: number }) => sequence)).toEqual(
      Array.from({ length: 51 }, (_, i) => first + i),
    )
    expect(plan).toContain(index)
    expect(pages).toBeLessThan(20)
  })
})
