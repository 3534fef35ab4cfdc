import { setTimeout as sleep } from 'node:timers/promises'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import { disturbMaster, MASTER_FAULTS } from '../injection/master-faults.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const EVENTS = 8
const ROUNDS = 5
const PAUSE_MS = 1000
const SERVED_WITHIN_MS = 15_000

export const lostMasters: Scenario = {
  name: 'lost-masters',
  proves:
    'Under load, a master of Redis is killed, is frozen until its replica has replaced it, or is replaced by an ordered failover; in a cluster, slots move as well. Every event is served within 15 s, and nothing that was accepted is lost.',
  redisKinds: ['cluster', 'sentinel'],
  async run({ scale, log }) {
    const testbed = await openTestbed({ env: { RESULT_WAIT_MS: '500' } })
    const { fleet, history } = testbed
    const figures: Record<string, number> = {}
    const missed: string[] = []
    try {
      const kind = fleet.replicated?.kind
      if (kind === undefined) throw new Error('this scenario needs --redis cluster or sentinel')
      const loads = await loadEvents(testbed, EVENTS)
      for (const fault of MASTER_FAULTS[kind]) {
        const servedMs: number[] = []
        for (let round = 0; round < Math.max(1, Math.round(ROUNDS * scale)); round++) {
          await fleet.ready()
          await sleep(PAUSE_MS)
          const startedAt = performance.now()
          const { recovered } = await disturbMaster(fleet, fault, round)
          // Until now, the server that was replaced may still have served an event.
          const replacedAt = performance.now()
          servedMs.push(replacedAt - startedAt + (await loads.allServed(replacedAt)))
          await recovered
        }
        const { p50, most } = spreadOf(servedMs)
        log(`${fault}: all events served ${p50} ms after its start, ${most} ms at most`)
        figures[`${fault}ServedP50Ms`] = p50
        figures[`${fault}ServedMostMs`] = most
        missed.push(
          ...atMost(`${fault}: time until every event is served, ms`, most, SERVED_WITHIN_MS),
        )
      }
      await loads.stop()
      const { commands } = history
      const refusals = commands.filter(({ answer }) => answer?.status === 503)
      const others = commands.filter(
        ({ answer }) => answer?.status !== 503 && !isAcknowledged(answer),
      )
      return {
        figures: { requests: commands.length, refused503: refusals.length, ...figures },
        missed: [
          ...missed,
          ...atMost('answers other than an outcome, 202 or 503', others.length, 0),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}
