import { setTimeout as sleep } from 'node:timers/promises'
import { every } from '@ticket-line/shared'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import type { Slot } from '../fleet/slot.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { describeEndings } from '../summary.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, percentile, type Scenario } from './scenario.ts'

const WAITS = 10_000
const CLIENTS = 80
const WAIT_S = 1
const KILL_EVERY_MS = 200
const LATE_BY_MS = 250
const EVENTS = 10

export const waits: Scenario = {
  name: 'waits',
  proves:
    'While connections to the reply streams are killed every 200 ms and workers lose Redis for seconds, each of 10,000 requests is answered at most 250 ms after its deadline.',
  async run({ scale, log }) {
    const testbed = await openTestbed()
    const killer = startKilling(testbed.fleet.apis)
    let done = false
    try {
      for (let eventId = 1; eventId <= EVENTS; eventId++) await testbed.createEvent(eventId, 20)
      const total = Math.max(CLIENTS, Math.round(WAITS * scale))
      let started = 0
      const runClient = async (client: number): Promise<void> => {
        while (started < total) {
          const index = started++
          const eventId = 1 + (index % EVENTS)
          const command = commandOf(
            index % (2 * EVENTS) < EVENTS ? 'book' : 'cancel',
            eventId,
            `user-${client}`,
          )
          const endpoint =
            testbed.endpoints[client % testbed.endpoints.length] ?? testbed.endpoints[0]
          await sendCommand(testbed, endpoint, command, { prefer: `wait=${WAIT_S}` })
          await sleep(5)
        }
      }
      // Workers alternately reach Redis for 2 s and lose it for 1.6 s, so that deadlines pass.
      const holdInTurns = async (): Promise<void> => {
        while (!done) {
          await sleep(2000)
          for (const worker of testbed.fleet.workers) worker.redisLink.hold()
          await sleep(1600)
          for (const worker of testbed.fleet.workers) worker.redisLink.restore()
        }
      }
      const turns = holdInTurns()
      await Promise.all(Array.from({ length: CLIENTS }, (_, client) => runClient(client)))
      done = true
      await turns
      const { commands } = testbed.history
      const lateBy = commands.map((call) => call.endedAtMs - call.sentAtMs - WAIT_S * 1000)
      const late = lateBy.filter((ms) => ms > LATE_BY_MS).length
      const atDeadline = commands.filter((call) => call.answer?.status === 202).length
      const unanswered = commands.filter((call) => !isAcknowledged(call.answer)).length
      log(describeEndings(testbed.history))
      return {
        figures: {
          waits: commands.length,
          answeredAtDeadline: atDeadline,
          connectionsKilled: killer.count(),
          lateByP999Ms: Math.round(percentile(lateBy, 0.999)),
          lateByMostMs: Math.round(percentile(lateBy, 1)),
          tooLate: late,
          withoutAnswer: unanswered,
        },
        missed: [
          ...atMost(`answers later than the deadline + ${LATE_BY_MS} ms`, late, 0),
          ...atMost('requests without an outcome or 202', unanswered, 0),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      done = true
      await killer.stop()
      await testbed.close()
    }
  },
}

/** Kills every connection that reads a reply stream, every 200 ms. */
function startKilling(apis: Slot[]): { count: () => number; stop: () => Promise<void> } {
  let count = 0
  const killing = every(
    KILL_EVERY_MS,
    () => {
      for (const api of apis) count += api.redisLink.cutAll('reply-read')
    },
    { onError: () => undefined },
  )
  return { count: () => count, stop: killing.stop }
}
