import { type LiveQuestion, type Pool, readLiveStates, readUserClaim } from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../random.ts'
import { fillHeldEvent } from '../stack/due-rows.ts'
import { explainOn, openReads } from './explain.ts'
import { command, createLineKit, type LineKit } from './line-kit.ts'

const WAITING = 100_000
const OTHERS = 20_000

let kit: LineKit
let pool: Pool
let close: () => Promise<void>

beforeAll(async () => {
  kit = await createLineKit()
  ;({ pool, close } = openReads(kit.databaseUrl))
  await fillHeldEvent(pool, { eventId: 1, held: 100, waiting: WAITING, expiresInMs: 3_600_000 })
  await fillHeldEvent(pool, { eventId: 2, held: 3000, expiresInMs: 3_600_000 })
  await kit.query(
    `INSERT INTO events (event_id, capacity, total_tickets, available_tickets)
      SELECT n + 1000, 10, 10, 10 FROM generate_series(1, $1::int) AS n`,
    [OTHERS],
  )
  await kit.query(
    `INSERT INTO waitlist_blocks SELECT n + 1000, 0, 0 FROM generate_series(1, $1::int) AS n`,
    [OTHERS],
  )
  // Every third of the first 30,000 people leaves the list, and ten get a ticket.
  const leaving = Array.from({ length: 10_000 }, (_, i) => `w${3 * i}`)
  await kit.query(
    `WITH gone AS (
        DELETE FROM claims WHERE event_id = 1 AND user_id = ANY($1) RETURNING sequence
      ), blocks AS (
        UPDATE waitlist_blocks b SET waiting_count = waiting_count - g.count
        FROM (SELECT sequence / 1024 AS block, count(*) FROM gone GROUP BY 1) AS g
        WHERE b.event_id = 1 AND b.block = g.block
      )
      UPDATE waitlist_entries e SET status = 'withdrawn', left_at = now() FROM gone
      WHERE e.event_id = 1 AND e.sequence = gone.sequence`,
    [leaving],
  )
  await kit.query(`UPDATE events SET waiting_count = waiting_count - 10000 WHERE event_id = 1`)
  const tenLeave = Array.from({ length: 10 }, (_, i) => command('cancel', 1, `h${i}`))
  await kit.apply(kit.job(...tenLeave))
  await kit.query('ANALYZE')
}, 120_000)
afterAll(async () => {
  await close?.()
  await kit?.stop()
})

const ask = (eventId: number, ...userIds: string[]): LiveQuestion => ({
  eventId,
  knownChange: null,
  userIds,
})

describe('the claims of live updates', () => {
  it('are those of GET /events/:eventId/me, of many users in one statement', async () => {
    const random = createRandom(18)
    const users = [
      ...Array.from({ length: 300 }, () => `w${random.between(0, WAITING - 1)}`),
      ...['h0', 'h9', 'h10', 'h99', 'w0', 'w1', 'w2', 'w29999', 'w30000', `w${WAITING - 1}`],
      'nobody',
      `a "quoted" {user}, \\ and 'so' on`,
    ]
    const questions = [ask(1, ...new Set(users)), ask(2, 'h0', 'h2999', 'w1'), ask(1001, 'w1')]
    const states = await readLiveStates(pool, questions)
    for (const { eventId, userIds } of questions)
      for (const userId of userIds)
        expect(states.get(eventId)?.claims.get(userId) ?? { standing: 'none' }, userId).toEqual(
          await readUserClaim(pool, eventId, userId),
        )
    expect(states.get(1)).toMatchObject({
      availableTickets: 0,
      heldTickets: 100,
      waitingListCount: WAITING - 10_010,
      paused: false,
      canceledAtMs: null,
    })
  })

  it('are read only of events that have changed, and of those that do not exist', async () => {
    const { lastChange } = (await readLiveStates(pool, [ask(1)])).get(1) ?? { lastChange: 0 }
    expect(lastChange).toBeGreaterThan(0)
    const states = await readLiveStates(pool, [
      { eventId: 1, knownChange: lastChange, userIds: ['w1'] },
      { eventId: 2, knownChange: 77, userIds: ['h0'] },
      { eventId: 999, knownChange: 5, userIds: ['h0'] },
      { eventId: 998, knownChange: null, userIds: ['h0'] },
    ])
    expect([...states.keys()].toSorted()).toEqual([2, 998, 999])
    expect(states.get(2)?.claims.get('h0')).toMatchObject({ standing: 'held', offered: false })
    expect([states.get(998), states.get(999)]).toEqual([undefined, undefined])
  })

  it('are none once the event is canceled, although settles have yet to end them', async () => {
    const eventId = 500_000
    await kit.createEvent(eventId, 1)
    await kit.apply(kit.job(command('book', eventId, 'ada'), command('book', eventId, 'bob')))
    await kit.apply(kit.job(command('cancel_event', eventId, 'olga')))
    const state = (await readLiveStates(pool, [ask(eventId, 'ada', 'bob')])).get(eventId)
    expect(state).toMatchObject({ availableTickets: 0, heldTickets: 0, waitingListCount: 0 })
    expect(state?.canceledAtMs).not.toBeNull()
    expect(state?.claims.size).toBe(0)
  })
})

describe('the statement of live updates', () => {
  const explain = (questions: LiveQuestion[]) =>
    explainOn(pool, (explaining) => readLiveStates(explaining, questions))

  /** Number of times that the plan runs a scan of a table. */
  function scansOf(plan: string, table: string): number[] {
    const scan = new RegExp(`Scan (?:using \\w+ )?on ${table}\\b.*actual .* loops=(\\d+)`, 'g')
    return [...plan.matchAll(scan)].map(([, loops]) => Number(loops))
  }

  it('makes one sum over the blocks and one scan of each block in which somebody watches', async () => {
    // Entries begin at number 101, so these 1,000 people are in four blocks.
    const users = Array.from({ length: 1000 }, (_, i) => `w${50_000 + 4 * i}`)
    const { plan, pages } = await explain([ask(1, ...users)])
    expect(plan).not.toContain('Seq Scan')
    expect(scansOf(plan, 'waitlist_blocks'), plan).toEqual([1])
    const [scans = 0, ...more] = scansOf(plan, 'waitlist_entries')
    expect(more).toEqual([])
    expect(scans).toBeLessThanOrEqual(5)
    // One search for each claim, and 5,000 entries.
    expect(pages, plan).toBeLessThan(6000)
  })

  it('finds each event and each claim by its key, however many there are', async () => {
    const questions = Array.from({ length: 1000 }, (_, i) => ask(1001 + i * 10, `u${i}`))
    const { plan, pages } = await explain([
      ...questions,
      ask(2, ...Array.from({ length: 1000 }, (_, i) => `h${i}`)),
    ])
    expect(plan).not.toContain('Seq Scan')
    expect(pages, plan).toBeLessThan(17_000)
  })

  it('reads no claim of an event that has not changed', async () => {
    const state = (await readLiveStates(pool, [ask(1)])).get(1)
    const users = Array.from({ length: 1000 }, (_, i) => `w${i}`)
    const question = { eventId: 1, knownChange: state?.lastChange ?? 0, userIds: users }
    const { plan, pages } = await explain([question])
    expect(pages, plan).toBeLessThan(20)
  })
})
