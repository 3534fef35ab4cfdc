import { setTimeout as sleep } from 'node:timers/promises'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import type { Finding } from '../check/finding.ts'
import { PERSISTENCES } from '../fleet/redis-host.ts'
import { loseRedis } from '../injection/redis-losses.ts'
import { loadEvents } from '../load/event-loads.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const ROUNDS = 10
const EVENTS = 3
const PAUSE_MS = 1000
const SERVED_WITHIN_MS = 5000

export const persistence: Scenario = {
  name: 'persistence',
  proves:
    'Under load, Redis is killed with `appendfsync always`, with `everysec` and with `appendonly no`, and starts again. Every event is served within 5 s, and nothing that was accepted is lost.',
  async run({ scale, log }) {
    const figures: Record<string, number> = {}
    const missed: string[] = []
    const findings: Finding[] = []
    for (const kept of PERSISTENCES) {
      const testbed = await openTestbed({ persistence: kept })
      const { fleet, history } = testbed
      const servedMs: number[] = []
      const refusedMs: number[] = []
      try {
        const loads = await loadEvents(testbed, EVENTS)
        await testbed.createEvent(EVENTS + 1, 3)
        const accepting = startSteadyLoad(testbed, {
          eventId: EVENTS + 1,
          clients: 3,
          pauseMs: 50,
          prefer: 'respond-async',
        })
        const rounds = Math.max(2, Math.round(ROUNDS * scale))
        for (let round = 0; round < rounds; round++) {
          await fleet.ready()
          await sleep(PAUSE_MS)
          const killedAt = performance.now()
          if (kept === 'always') await fleet.loseRedis('killed')
          else await loseRedis(fleet, 'killed')
          servedMs.push(await loads.allServed(killedAt))
          const refusals = history.commands.filter(
            ({ sentAtMs, answer }) => sentAtMs > killedAt && answer?.status === 503,
          )
          refusedMs.push(Math.max(0, ...refusals.map(({ endedAtMs }) => endedAtMs - killedAt)))
        }
        await accepting.stop()
        await loads.stop()
        const acknowledged = history.commands.filter(({ answer }) => isAcknowledged(answer))
        const served = spreadOf(servedMs)
        const refused = spreadOf(refusedMs)
        figures[`${kept}Requests`] = history.commands.length
        figures[`${kept}Refused503P50Ms`] = refused.p50
        figures[`${kept}Refused503MostMs`] = refused.most
        figures[`${kept}AllServedP50Ms`] = served.p50
        figures[`${kept}AllServedMostMs`] = served.most
        figures[`${kept}SlowestAnswerMs`] = spreadOf(
          acknowledged.map(({ sentAtMs, endedAtMs }) => endedAtMs - sentAtMs),
        ).most
        log(`${kept}: all events served ${served.p50} ms after a kill, ${served.most} ms at most`)
        const evidence = await testbed.collectEvidence()
        missed.push(
          ...atMost(`${kept}: time until every event is served, ms`, served.most, SERVED_WITHIN_MS),
        )
        findings.push(...check(evidence))
      } finally {
        await testbed.close()
      }
    }
    return { figures, missed, findings }
  },
}
