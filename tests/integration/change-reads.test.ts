import {
  CHANGES_LOOKED_AT,
  type Pool,
  pageChanges,
  readLastChanges,
  readRetainedChanges,
} from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { explainOn, openReads } from './explain.ts'
import { createLineKit, type LineKit } from './line-kit.ts'

/** The last change of event 1, which has most rows of the table. */
const LAST = 100_000

let kit: LineKit
let pool: Pool
let close: () => Promise<void>

beforeAll(async () => {
  kit = await createLineKit()
  ;({ pool, close } = openReads(kit.databaseUrl))
  await kit.query(
    `INSERT INTO installation (id, key_prefix, shared_lines, shards) VALUES (gen_random_uuid(), 't', 0, 1)
     ON CONFLICT DO NOTHING`,
  )
  await kit.query(
    `INSERT INTO events (event_id, total_tickets, available_tickets, last_change)
     SELECT n, 0, 0, CASE n WHEN 1 THEN $1::int ELSE 20 END FROM generate_series(1, 1000) AS n`,
    [LAST],
  )
  // One change in ten thousand is rare.
  await kit.query(
    `INSERT INTO changes (event_id, no, at, type, user_id, sequence, actor)
     SELECT 1, n, now(), CASE WHEN n % 10000 = 9999 THEN 'waitlist.left' ELSE 'booking.held' END, 'u' || n, n, 'u' || n
     FROM generate_series(1, $1::int) AS n
     UNION ALL
     SELECT e, n, now(), 'booking.held', 'u' || n, n, 'u' || n
     FROM generate_series(2, 1000) AS e, generate_series(1, 20) AS n`,
    [LAST],
  )
  await kit.query('ANALYZE')
})
afterAll(async () => {
  await close?.()
  await kit?.stop()
})

/** @returns how many pages the statement of a read used */
async function pagesOf(read: (pool: Pool) => Promise<unknown>): Promise<number> {
  const { plan, pages } = await explainOn(pool, read)
  expect(plan).not.toContain('Seq Scan on changes')
  return pages
}

describe('a page of changes', () => {
  it.each([
    ['the first page', { eventId: 1, after: 0, limit: 50 }, 20],
    ['a page in the middle', { eventId: 1, after: LAST / 2, limit: 50 }, 20],
    ['the end', { eventId: 1, after: LAST, limit: 1000 }, 20],
    // Its rows may be on as many pages.
    ['a page of a small event', { eventId: 500, after: 0, limit: 50 }, 40],
    // It must look at 20,000 rows.
    ['a type that is rare', { eventId: 1, after: 0, limit: 50, types: ['waitlist.left'] }, 600],
  ] as const)('of %s reads few pages of the table', async (_what, range, pages) => {
    expect(await pagesOf((explaining) => pageChanges(explaining, range))).toBeLessThan(pages)
  })

  it('ends with the last change that was looked at', async () => {
    const types = ['waitlist.left'] as const
    const first = await pageChanges(pool, { eventId: 1, after: 0, limit: 50, types })
    expect(first?.changes.map(({ no }) => no)).toEqual([9999, 19_999])
    expect(first).toMatchObject({ next: CHANGES_LOOKED_AT, lastChange: LAST, oldest: 1 })
    const one = await pageChanges(pool, { eventId: 1, after: 0, limit: 1, types })
    expect(one?.next).toBe(9999)
    const none = await pageChanges(pool, { eventId: 1, after: 99_999, limit: 50, types })
    expect(none).toMatchObject({ changes: [], next: LAST })
  })

  it('shows that a reader is beyond the last change', async () => {
    const page = await pageChanges(pool, { eventId: 2, after: 21, limit: 50 })
    expect(page).toMatchObject({ changes: [], next: 21, lastChange: 20 })
  })

  it('is empty for an event that was made before there was a log', async () => {
    await kit.query(
      'INSERT INTO events (event_id, total_tickets, available_tickets) VALUES (2000, 0, 0)',
    )
    expect(await pageChanges(pool, { eventId: 2000, after: 0, limit: 50 })).toMatchObject({
      changes: [],
      next: 0,
      lastChange: 0,
      oldest: 1,
    })
    expect(await pageChanges(pool, { eventId: 2001, after: 0, limit: 50 })).toBeUndefined()
  })
})

describe('the changes of an event', () => {
  it('do not include those of deleted events with the same id', async () => {
    await kit.query(
      `INSERT INTO events (event_id, total_tickets, available_tickets, first_change, last_change)
       VALUES (3000, 1, 0, 4, 6)`,
    )
    await kit.query(
      `INSERT INTO changes (event_id, no, at, type, user_id)
       SELECT 3000, n, now(), type, CASE WHEN type LIKE 'booking.%' THEN 'ann' END
       FROM unnest('{event.created,event.updated,event.created,event.created,booking.confirmed,event.sold_out}'::text[])
         WITH ORDINALITY AS c (type, n)`,
    )
    const page = await pageChanges(pool, { eventId: 3000, after: 0, limit: 50 })
    expect(page?.changes.map(({ no }) => no)).toEqual([4, 5, 6])
    expect(page).toMatchObject({ oldest: 4, isWhole: true, next: 6 })
    expect(await readRetainedChanges(pool, 3000)).toEqual({ oldest: 4, last: 6 })

    await kit.query(
      `SET LOCAL ticket_line.pruning = 'on'; DELETE FROM changes WHERE event_id = 3000 AND no < 5`,
    )
    const pruned = await pageChanges(pool, { eventId: 3000, after: 4, limit: 50 })
    expect(pruned?.changes.map(({ no }) => no)).toEqual([5, 6])
    expect(pruned).toMatchObject({ oldest: 5, isWhole: false })
    expect(await readRetainedChanges(pool, 3000)).toEqual({ oldest: 5, last: 6 })
  })
})

describe('the last changes of events', () => {
  it('are read for many events at once, and with the epoch', async () => {
    const [installation] = await kit.query<{ epoch: string }>('SELECT epoch FROM installation')
    const { epoch, lastChanges } = await readLastChanges(pool, [1, 2, 5000])
    expect(epoch).toBe(installation?.epoch)
    expect([...lastChanges]).toEqual([
      [1, LAST],
      [2, 20],
    ])
    const all = await readLastChanges(
      pool,
      Array.from({ length: 1000 }, (_, n) => n + 1),
    )
    expect(all.lastChanges.size).toBe(1000)
    expect(await readLastChanges(pool, [])).toEqual({ epoch, lastChanges: new Map() })
  })
})
