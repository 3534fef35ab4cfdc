import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import type { CommandCall } from '../history.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed } from '../testbed.ts'
import {
  atMost,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
  spreadOf,
} from './scenario.ts'

const AWAY_FOR_MS = 60_000
const EVENTS = 5
/** Also holds for requests that are being handled when the outage begins. */
const ANSWERED_WITHIN_MS = 1000
const SERVED_WITHIN_MS = 5000

async function away(
  which: 'redis' | 'postgres',
  options: ScenarioOptions,
): Promise<ScenarioResult> {
  const { scale, log } = options
  // A short wait for outcomes, because the bound is for refusals.
  const testbed = await openTestbed({ env: { RESULT_WAIT_MS: '500' } })
  try {
    const loads = []
    for (let eventId = 1; eventId <= EVENTS; eventId++) {
      await testbed.createEvent(eventId, 3)
      loads.push(startSteadyLoad(testbed, { eventId, clients: 3, pauseMs: 50 }))
    }
    await sleep(2000)
    const server = testbed.fleet[which]
    const awayAt = performance.now()
    await server.kill()
    await sleep(Math.max(3000, AWAY_FOR_MS * scale))
    await server.restart()
    const backAt = performance.now()
    log(`${which} was away for ${Math.round((backAt - awayAt) / 1000)} s`)

    const { commands } = testbed.history
    const served = (): Set<number> =>
      new Set(commands.filter((call) => isServed(call, backAt)).map((call) => call.eventId))
    await until(() => served().size === EVENTS, { timeoutMs: 30_000 })
    const servedAfterMs = Math.round(performance.now() - backAt)
    await sleep(1000)
    for (const load of loads) await load.stop()

    const during = commands.filter((call) => call.sentAtMs >= awayAt && call.endedAtMs < backAt)
    const refused = during.filter(
      (call) => call.answer?.status === 503 && call.answer.retryAfter !== undefined,
    )
    const promised = during.filter((call) => isAcknowledged(call.answer))
    const others = during.length - refused.length - promised.length
    const times = spreadOf(during.map((call) => call.endedAtMs - call.sentAtMs))
    const slow = during.filter((call) => call.endedAtMs - call.sentAtMs > ANSWERED_WITHIN_MS).length
    return {
      figures: {
        awayForS: Math.round((backAt - awayAt) / 1000),
        requests: during.length,
        refused503: refused.length,
        promised202: promised.length,
        otherwise: others,
        answeredP99Ms: times.p99,
        answeredMostMs: times.most,
        allServedAfterMs: servedAfterMs,
      },
      missed: [
        ...atMost('answers other than an outcome, 202 or 503 with Retry-After', others, 0),
        ...atMost(`answers later than ${ANSWERED_WITHIN_MS} ms`, slow, 0),
        ...atMost('time until every event is served again, ms', servedAfterMs, SERVED_WITHIN_MS),
      ],
      findings: check(await testbed.collectEvidence()),
    }
  } finally {
    await testbed.close()
  }
}

/** True if the request was sent after the return of the server, and was decided. */
function isServed({ sentAtMs, answer }: CommandCall, backAt: number): boolean {
  return sentAtMs > backAt && isAcknowledged(answer) && answer?.status !== 202
}

const proves = (name: string): string =>
  `While ${name} is away for 60 s, writes get 503 with Retry-After within 1 s and never take effect. Every event is served within 5 s of its return.`

export const redisAway: Scenario = {
  name: 'redis-away',
  proves: proves('Redis'),
  run: (options) => away('redis', options),
}

export const postgresAway: Scenario = {
  name: 'postgres-away',
  proves: proves('PostgreSQL'),
  run: (options) => away('postgres', options),
}
