import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import { REFUSALS, refuseWrites } from '../injection/redis-refusals.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const EVENTS = 3
const REFUSES_FOR_MS = 15_000
const RESULT_WAIT_MS = 500
const ANSWERED_WITHIN_MS = 1000 + RESULT_WAIT_MS
const NOT_READY_WITHIN_MS = 3000
const SERVED_WITHIN_MS = 5000

export const refusedWrites: Scenario = {
  name: 'refused-writes',
  proves:
    'While Redis refuses writes but answers reads (demoted, without replicas, out of memory), writes get 503 within 1 s and /readyz fails. Every event is served within 5 s of the end of the fault.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ env: { RESULT_WAIT_MS: String(RESULT_WAIT_MS) } })
    const { fleet, history } = testbed
    const missed: string[] = []
    const servedAfterMs: number[] = []
    let refused = 0
    try {
      const loads = await loadEvents(testbed, EVENTS)
      for (const kind of REFUSALS) {
        await fleet.ready()
        await sleep(1000)
        const startedAt = performance.now()
        const end = await refuseWrites(fleet.redis.url, kind)
        const notReady = async (): Promise<boolean> =>
          (await Promise.all(fleet.apis.map(({ url }) => fetch(`${url}/readyz`)))).every(
            ({ status }) => status === 503,
          )
        // A full Redis accepts commands that free memory, so a process may still find it writable.
        if (kind !== 'oom' && !(await until(notReady, { timeoutMs: NOT_READY_WITHIN_MS })))
          missed.push(`${kind}: /readyz still answers 200 after ${NOT_READY_WITHIN_MS} ms`)
        await sleep(Math.max(2000, REFUSES_FOR_MS * scale))
        await end()
        const endedAt = performance.now()
        const servedMs = await loads.allServed(endedAt)
        servedAfterMs.push(servedMs)
        log(`${kind}: all events served ${Math.round(servedMs)} ms after its end`)
        const during = history.commands.filter(
          (call) => call.sentAtMs >= startedAt && call.endedAtMs < endedAt,
        )
        const refusals = during.filter(({ answer }) => answer?.status === 503)
        refused += refusals.length
        const others = during.filter(
          (call) => call.answer?.status !== 503 && !isAcknowledged(call.answer),
        )
        missed.push(
          ...atMost(`${kind}: answers other than an outcome, 202 or 503`, others.length, 0),
          ...atMost(`${kind}: 503 without Retry-After`, withoutRetryAfter(refusals), 0),
          ...atMost(
            `${kind}: answers later than ${ANSWERED_WITHIN_MS} ms`,
            during.filter((call) => call.endedAtMs - call.sentAtMs > ANSWERED_WITHIN_MS).length,
            0,
          ),
        )
        if (refusals.length === 0) missed.push(`${kind}: nothing was refused`)
      }
      await loads.stop()
      const served = spreadOf(servedAfterMs)
      return {
        figures: {
          requests: history.commands.length,
          refused503: refused,
          allServedMostMs: served.most,
        },
        missed: [
          ...missed,
          ...atMost('time until every event is served again, ms', served.most, SERVED_WITHIN_MS),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}

function withoutRetryAfter(calls: { answer?: { retryAfter?: string } }[]): number {
  return calls.filter(({ answer }) => answer?.retryAfter === undefined).length
}
