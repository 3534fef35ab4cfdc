import { setTimeout as sleep } from 'node:timers/promises'
import { every } from '@ticket-line/shared'
import pg from 'pg'
import { check } from '../check/check.ts'
import { startBulkLoad } from '../load/bulk-load.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const FLOODED = 1
const OTHER = 2
const FLOOD = 50_000
const PER_SECOND = 1000
const MAX_QUEUE_DEPTH = 20_000
/**
 * Requests that are being admitted on both API processes may exceed or miss the limit by a little.
 */
const DEPTH_TOLERANCE = 0.02
const BASELINE_MS = 15_000

export const flood: Scenario = {
  name: 'flood',
  proves:
    'Of 50,000 requests for an event whose line is blocked, those beyond MAX_QUEUE_DEPTH get 503, and the p99 of another event at most doubles.',
  async run({ scale, log }) {
    const depth = Math.round(MAX_QUEUE_DEPTH * scale)
    const testbed = await openTestbed({ env: { MAX_QUEUE_DEPTH: String(depth) } })
    try {
      await testbed.createEvent(FLOODED, 100)
      await testbed.createEvent(OTHER, 10)
      const other = startSteadyLoad(testbed, { eventId: OTHER, clients: 4, pauseMs: 20 })
      await sleep(2000)
      const beforeAt = performance.now()
      await sleep(BASELINE_MS)
      const floodAt = performance.now()
      const unlock = await lockRow(testbed.fleet.postgres.url, FLOODED)
      const load = startBulkLoad({
        jwtSecret: testbed.fleet.jwtSecret,
        endpoints: testbed.endpoints,
        count: Math.round(FLOOD * scale),
        clients: 64,
        perSecond: PER_SECOND,
        firstEvent: FLOODED,
        events: 1,
        users: 1,
        cancels: false,
        prefer: 'respond-async',
        keepCalls: true,
      })
      const ticker = every(10_000, () => log(`${load.sent()} sent`), { onError: () => undefined })
      await load.done
      await ticker.stop()
      const overAt = performance.now()
      await unlock()
      await other.stop()
      const before = timesOf(testbed, beforeAt, floodAt)
      const during = timesOf(testbed, floodAt, overAt)
      testbed.history.commands.push(...load.calls)
      const accepted = load.statuses.get(202) ?? 0
      const busy = load.calls.filter((call) => call.answer?.body?.code === 'busy').length
      const otherwise = load.sent() - accepted - busy
      return {
        figures: {
          sent: load.sent(),
          perSecond: Math.round((load.sent() / (overAt - floodAt)) * 1000),
          maxQueueDepth: depth,
          accepted,
          busy503: busy,
          otherwise,
          otherP99BeforeMs: before.p99,
          otherP99DuringMs: during.p99,
        },
        missed: [
          ...atMost('accepted', accepted, depth * (1 + DEPTH_TOLERANCE)),
          ...atMost('refused below the limit', depth * (1 - DEPTH_TOLERANCE) - accepted, 0),
          ...atMost('answers other than 202 and 503 busy', otherwise, 0),
          ...atMost('p99 of the other event, ms', during.p99, 2 * before.p99),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}

/**
 * Locks the row of an event, so that no command of it can be decided.
 * @returns a function that unlocks it
 */
async function lockRow(databaseUrl: string, eventId: number): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('BEGIN')
  await client.query('SELECT 1 FROM events WHERE event_id = $1 FOR UPDATE', [eventId])
  return async () => {
    await client.query('ROLLBACK')
    await client.end()
  }
}

function timesOf({ history }: Testbed, fromMs: number, toMs: number): ReturnType<typeof spreadOf> {
  const calls = history.commands.filter(
    (call) => call.eventId === OTHER && call.sentAtMs >= fromMs && call.endedAtMs < toMs,
  )
  return spreadOf(calls.map((call) => call.endedAtMs - call.sentAtMs))
}
