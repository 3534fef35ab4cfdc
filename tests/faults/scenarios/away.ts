import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAck } from '../check/answers.ts'
import { check } from '../check/check.ts'
import type { CommandCall } from '../history.ts'
import { startSteady } from '../load/steady-load.ts'
import { openStage } from '../testbed.ts'
import {
  atMost,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
  spreadOf,
} from './scenario.ts'

const AWAY_FOR_MS = 60_000
const EVENTS = 5
/** The first requests of an outage, on their way when it begins, count as well. */
const ANSWERED_WITHIN_MS = 1000
const SERVED_WITHIN_MS = 5000

async function away(
  which: 'redis' | 'postgres',
  options: ScenarioOptions,
): Promise<ScenarioResult> {
  const { scale, patches = [], say } = options
  // Waiting for a decision is no part of the time that a refusal may take.
  const stage = await openStage({ patches, env: { RESULT_WAIT_MS: '500' } })
  try {
    const loads = []
    for (let eventId = 1; eventId <= EVENTS; eventId++) {
      await stage.createEvent(eventId, 3)
      loads.push(startSteady(stage, { eventId, clients: 3, pauseMs: 50 }))
    }
    await sleep(2000)
    const server = stage.fleet[which]
    const awayAt = performance.now()
    await server.kill()
    await sleep(Math.max(3000, AWAY_FOR_MS * scale))
    await server.restart()
    const backAt = performance.now()
    say(`${which} was away for ${Math.round((backAt - awayAt) / 1000)} s`)

    const { commands } = stage.history
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
    const promised = during.filter((call) => isAck(call.answer))
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
        ...atMost('answers that were neither 503 with Retry-After nor a promise', others, 0),
        ...atMost(`answers later than ${ANSWERED_WITHIN_MS} ms`, slow, 0),
        ...atMost('time until every event is served again, ms', servedAfterMs, SERVED_WITHIN_MS),
      ],
      findings: check(await stage.conclude()),
    }
  } finally {
    await stage.close()
  }
}

/** Sent after the return and decided. */
function isServed({ sentAtMs, answer }: CommandCall, backAt: number): boolean {
  return sentAtMs > backAt && isAck(answer) && answer?.status !== 202
}

const shows = (name: string): string =>
  `${name} away for 60 s: writes get 503 and Retry-After within 1 s, nothing of them takes effect later, all is served within 5 s of the return`

export const redisAway: Scenario = {
  name: 'redis-away',
  shows: shows('Redis'),
  run: (options) => away('redis', options),
}

export const postgresAway: Scenario = {
  name: 'postgres-away',
  shows: shows('PostgreSQL'),
  run: (options) => away('postgres', options),
}
