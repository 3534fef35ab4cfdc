import { countLatestDecisions, readEventSales } from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { readMetrics } from '../stack/metrics.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit } from './contract-kit.ts'
import { explainOn, openReads } from './explain.ts'
import { createLineKit, type LineKit } from './line-kit.ts'

describe('the sales metrics of the workers', () => {
  let system: System
  let kit: ContractKit
  beforeAll(async () => {
    system = await startSystem({ workers: 2 })
    kit = createContractKit(system)
  })
  afterAll(async () => {
    await kit?.stop()
    await system?.stop()
  })

  /** What each worker shows of an event: free, held and booked tickets, waiting-list entries. */
  async function shown(eventId: number): Promise<(number[] | undefined)[]> {
    return Promise.all(
      system.workers.map(async ({ url }) => {
        const page = await readMetrics(url)
        const series = new RegExp(`^ticket_line_event_\\w+\\{event="${eventId}"\\} (.*)$`, 'gm')
        const values = [...page.matchAll(series)].map(([, value]) => Number(value))
        return values.length === 0 ? undefined : values
      }),
    )
  }

  async function expectShown(eventId: number, values: number[] | undefined): Promise<void> {
    await until(
      async () => (await shown(eventId)).every((each) => String(each) === String(values)),
      { timeoutMs: 20_000 },
    )
    expect(await shown(eventId)).toEqual([values, values])
  }

  it('are the same in all of them, and follow bookings, holds and the waiting list', async () => {
    const eventId = await kit.createEvent(3)
    await kit.send('/book', eventId, { as: 'ada' })
    await expectShown(eventId, [2, 0, 1, 0])

    await kit.patch(eventId, { holdSeconds: 600 })
    for (const as of ['bob', 'eve', 'joe', 'mia']) await kit.send('/book', eventId, { as })
    await expectShown(eventId, [0, 2, 1, 2])
  })

  it('are 0 as soon as an event is canceled', async () => {
    const eventId = await kit.createEvent(1)
    for (const as of ['ada', 'bob']) await kit.send('/book', eventId, { as })
    await expectShown(eventId, [0, 0, 1, 1])

    await kit.call(`POST /events/${eventId}/cancel`, { as: 'olga', body: {} })
    await expectShown(eventId, [0, 0, 0, 0])
  })

  it('end when an event is deleted, and begin again with an event of the same id', async () => {
    const eventId = await kit.createEvent(4, { name: 'Fern' })
    await expectShown(eventId, [4, 0, 0, 0])

    const deleted = await kit.call(`DELETE /events/${eventId}`, { as: 'olga' })
    expect(deleted.status).toBeLessThan(300)
    await expectShown(eventId, undefined)

    const body = { eventId, totalTickets: 9 }
    await kit.call('POST /initialize', { as: 'olga', body })
    await kit.send('/book', eventId, { as: 'ada' })
    await expectShown(eventId, [8, 0, 1, 0])
  })
})

describe('the reads behind the sales metrics', () => {
  const COMMANDS = 200_000
  let kit: LineKit
  beforeAll(async () => {
    kit = await createLineKit()
    await kit.query(
      `INSERT INTO events (event_id, total_tickets, available_tickets)
        SELECT n, 5, 5 FROM generate_series(1, 50000) AS n`,
    )
    // The last 2,000 decisions are about events 1 to 100.
    await kit.query(
      `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
        SELECT 'c' || n, 'book', CASE WHEN n > $1 - 2000 THEN 1 + n % 100 ELSE 1 + n % 50000 END,
          'u', 'u', 'booked', now(), now() + n * interval '1 ms'
        FROM generate_series(1, $1::int) AS n`,
      [COMMANDS],
    )
    await kit.query('ANALYZE events, commands')
  })
  afterAll(() => kit?.stop())

  function reads() {
    const { pool, close } = openReads(kit.databaseUrl)
    onTestFinished(close)
    return pool
  }

  it('count the latest decisions by event, of events that exist', async () => {
    await kit.query('DELETE FROM events WHERE event_id = 100')
    const decisions = await countLatestDecisions(reads(), 2000)
    expect([...decisions.keys()].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 99 }, (_, i) => i + 1),
    )
    expect(new Set(decisions.values())).toEqual(new Set([20]))
  })

  it('cost the same, however many commands and events are stored', async () => {
    const pool = reads()
    const counted = await explainOn(pool, (explaining) => countLatestDecisions(explaining, 2000))
    expect(counted.plan).toContain('commands_oldest_first')
    expect(counted.plan).not.toContain('Seq Scan')
    expect(counted.pages).toBeLessThan(1000)

    const ids = Array.from({ length: 50 }, (_, i) => 1 + 900 * i)
    const sales = await explainOn(pool, (explaining) => readEventSales(explaining, ids))
    expect(sales.plan).not.toContain('Seq Scan')
    expect(sales.pages).toBeLessThan(250)
  })
})
