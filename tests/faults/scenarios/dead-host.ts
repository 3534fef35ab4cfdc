import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed } from '../testbed.ts'
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
/** A request may time out in its admission and in adding its job, and then wait for an outcome. */
const ANSWERED_WITHIN_MS = 1000 + RESULT_WAIT_MS
const TAKEN_WITHIN_MS = 4000
const SERVED_WITHIN_MS = 8000

/**
 * Abandons every connection to Redis at once, in several rounds. Measures the time until every
 * event accepts requests and until every event is served. Commands that were being sent are lost
 * with their connections, or arrive and are never answered.
 */
async function run(options: ScenarioOptions): Promise<ScenarioResult> {
  const { scale, log } = options
  const testbed = await openTestbed({ env: { RESULT_WAIT_MS: String(RESULT_WAIT_MS) } })
  const { commands } = testbed.history
  /**
   * Number of events with a request that was sent after `sinceMs` and got one of these statuses.
   */
  const eventsWith = (sinceMs: number, statuses: (status: number) => boolean): number =>
    new Set(
      commands
        .filter(
          ({ sentAtMs, answer }) =>
            sentAtMs > sinceMs && isAcknowledged(answer) && statuses(answer?.status ?? 0),
        )
        .map(({ eventId }) => eventId),
    ).size
  try {
    const loads = []
    for (let eventId = 1; eventId <= EVENTS; eventId++) {
      await testbed.createEvent(eventId, 3)
      loads.push(startSteadyLoad(testbed, { eventId, clients: 3, pauseMs: 50 }))
    }
    const takenAfterMs: number[] = []
    const servedAfterMs: number[] = []
    const rounds = Math.max(2, Math.round(ROUNDS * scale))
    for (let round = 0; round < rounds; round++) {
      await testbed.fleet.ready()
      // Reads of the streams block for 2 s. Each round starts at another point of them.
      await sleep(2000 + ((round * 730) % 2000))
      const strandedAt = performance.now()
      for (const slot of testbed.fleet.slots) slot.redisLink.strand()
      // Answers in the first 100 ms may be to requests that were decided before.
      const since = strandedAt + 100
      const within = { timeoutMs: 60_000, everyMs: 20 }
      await until(() => eventsWith(since, () => true) === EVENTS, within)
      takenAfterMs.push(performance.now() - strandedAt)
      await until(() => eventsWith(since, (status) => status !== 202) === EVENTS, within)
      servedAfterMs.push(performance.now() - strandedAt)
      log(
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
        ...atMost('time until every event accepts requests again, ms', taken.most, TAKEN_WITHIN_MS),
        ...atMost('time until every event is served again, ms', served.most, SERVED_WITHIN_MS),
      ],
      findings: check(await testbed.collectEvidence()),
    }
  } finally {
    await testbed.close()
  }
}

export const deadHost: Scenario = {
  name: 'dead-host',
  proves:
    'When the host of Redis dies without closing connections and another takes its name, requests are accepted within 4 s and decided within 8 s.',
  run,
}
