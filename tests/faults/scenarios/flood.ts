import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { check } from '../check/check.ts'
import { startCrowd } from '../load/bulk-load.ts'
import { startSteady } from '../load/steady-load.ts'
import { openStage, type Stage } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const FLOODED = 1
const OTHER = 2
const FLOOD = 50_000
const PER_SECOND = 1000
const MAX_QUEUE_DEPTH = 20_000
/** A count that a crash left behind may let in a little more or less; nothing crashes here. */
const DEPTH_TOLERANCE = 0.02
const BASELINE_MS = 15_000

export const flood: Scenario = {
  name: 'flood',
  shows:
    'a flood of 50,000 on one event whose line stands still stops at MAX_QUEUE_DEPTH with 503, and the p99 of another event at most doubles',
  async run({ scale, patches = [], say }) {
    const depth = Math.round(MAX_QUEUE_DEPTH * scale)
    const stage = await openStage({ patches, env: { MAX_QUEUE_DEPTH: String(depth) } })
    try {
      await stage.createEvent(FLOODED, 100)
      await stage.createEvent(OTHER, 10)
      const other = startSteady(stage, { eventId: OTHER, clients: 4, pauseMs: 20 })
      await sleep(2000)
      const beforeAt = performance.now()
      await sleep(BASELINE_MS)
      const floodAt = performance.now()
      const letGo = await holdRow(stage.fleet.postgres.url, FLOODED)
      const crowd = startCrowd({
        jwtSecret: stage.fleet.jwtSecret,
        entries: stage.entries,
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
      const ticker = setInterval(() => say(`${crowd.sent()} sent`), 10_000)
      await crowd.done
      clearInterval(ticker)
      const overAt = performance.now()
      await letGo()
      await other.stop()
      const before = timesOf(stage, beforeAt, floodAt)
      const during = timesOf(stage, floodAt, overAt)
      stage.history.commands.push(...crowd.calls)
      const accepted = crowd.statuses.get(202) ?? 0
      const busy = crowd.calls.filter((call) => call.answer?.body?.code === 'busy').length
      const otherwise = crowd.sent() - accepted - busy
      return {
        figures: {
          sent: crowd.sent(),
          perSecond: Math.round((crowd.sent() / (overAt - floodAt)) * 1000),
          maxQueueDepth: depth,
          accepted,
          busy503: busy,
          otherwise,
          otherP99BeforeMs: before.p99,
          otherP99DuringMs: during.p99,
        },
        missed: [
          ...atMost('accepted', accepted, depth * (1 + DEPTH_TOLERANCE)),
          ...atMost('refused below the bound', depth * (1 - DEPTH_TOLERANCE) - accepted, 0),
          ...atMost('answers that were neither 202 nor busy', otherwise, 0),
          ...atMost('p99 of the other event, ms', during.p99, 2 * before.p99),
        ],
        findings: check(await stage.conclude()),
      }
    } finally {
      await stage.close()
    }
  },
}

/** Nothing of that event can be decided until the returned function is called. */
async function holdRow(databaseUrl: string, eventId: number): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('BEGIN')
  await client.query('SELECT 1 FROM events WHERE event_id = $1 FOR UPDATE', [eventId])
  return async () => {
    await client.query('ROLLBACK')
    await client.end()
  }
}

function timesOf({ history }: Stage, fromMs: number, toMs: number): ReturnType<typeof spreadOf> {
  const calls = history.commands.filter(
    (call) => call.eventId === OTHER && call.sentAtMs >= fromMs && call.endedAtMs < toMs,
  )
  return spreadOf(calls.map((call) => call.endedAtMs - call.sentAtMs))
}
