import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAck } from '../check/answers.ts'
import { check } from '../check/check.ts'
import { startSteady } from '../load/steady-load.ts'
import { openStage } from '../testbed.ts'
import {
  atMost,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
  spreadOf,
} from './scenario.ts'

const ROUNDS = 20
const EVENTS = 5
const RESULT_WAIT_MS = 500
/** A request meets the silence with its count and its job, and then waits for the decision. */
const ANSWERED_WITHIN_MS = 1000 + RESULT_WAIT_MS
const TAKEN_WITHIN_MS = 4000
const SERVED_WITHIN_MS = 8000

/**
 * Strands every connection to Redis at once, again and again, and measures until each event takes requests and until
 * each is served. What was under way is lost with the connections, or arrived and was never answered.
 */
async function run(options: ScenarioOptions): Promise<ScenarioResult> {
  const { scale, patches = [], say } = options
  const stage = await openStage({ patches, env: { RESULT_WAIT_MS: String(RESULT_WAIT_MS) } })
  const { commands } = stage.history
  /** Events of which a request that was sent since then was answered like this. */
  const eventsWith = (sinceMs: number, statuses: (status: number) => boolean): number =>
    new Set(
      commands
        .filter(
          ({ sentAtMs, answer }) =>
            sentAtMs > sinceMs && isAck(answer) && statuses(answer?.status ?? 0),
        )
        .map(({ eventId }) => eventId),
    ).size
  try {
    const loads = []
    for (let eventId = 1; eventId <= EVENTS; eventId++) {
      await stage.createEvent(eventId, 3)
      loads.push(startSteady(stage, { eventId, clients: 3, pauseMs: 50 }))
    }
    const takenAfterMs: number[] = []
    const servedAfterMs: number[] = []
    const rounds = Math.max(2, Math.round(ROUNDS * scale))
    for (let round = 0; round < rounds; round++) {
      await stage.fleet.ready()
      // At another moment of the reads, which block for 2 s, each time.
      await sleep(2000 + ((round * 730) % 2000))
      const strandedAt = performance.now()
      for (const slot of stage.fleet.slots) slot.redisLink.strand()
      // What is answered in the first moment may have been decided before.
      const since = strandedAt + 100
      const within = { timeoutMs: 60_000, everyMs: 20 }
      await until(() => eventsWith(since, () => true) === EVENTS, within)
      takenAfterMs.push(performance.now() - strandedAt)
      await until(() => eventsWith(since, (status) => status !== 202) === EVENTS, within)
      servedAfterMs.push(performance.now() - strandedAt)
      say(
        `round ${round + 1}: all events served again after ${Math.round(servedAfterMs.at(-1) as number)} ms`,
      )
    }
    await sleep(1000)
    for (const load of loads) await load.stop()

    const slow = commands.filter(
      (call) => call.endedAtMs - call.sentAtMs > ANSWERED_WITHIN_MS,
    ).length
    const taken = spreadOf(takenAfterMs)
    const served = spreadOf(servedAfterMs)
    return {
      figures: {
        rounds,
        requests: commands.length,
        allTakenP50Ms: taken.p50,
        allTakenMostMs: taken.most,
        allServedP50Ms: served.p50,
        allServedMostMs: served.most,
      },
      missed: [
        ...atMost(`answers later than ${ANSWERED_WITHIN_MS} ms`, slow, 0),
        ...atMost('time until every event takes requests again, ms', taken.most, TAKEN_WITHIN_MS),
        ...atMost('time until every event is served again, ms', served.most, SERVED_WITHIN_MS),
      ],
      findings: check(await stage.conclude()),
    }
  } finally {
    await stage.close()
  }
}

export const deadHost: Scenario = {
  name: 'dead-host',
  shows:
    "Redis's host dies without a word and another stands behind its name: requests are taken again within 4 s, decided within 8 s",
  run,
}
