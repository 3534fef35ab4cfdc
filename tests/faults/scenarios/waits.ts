import { setTimeout as sleep } from 'node:timers/promises'
import { isAck } from '../check/answers.ts'
import { check } from '../check/check.ts'
import type { Slot } from '../fleet/slot.ts'
import { sendCommand, wishOf } from '../load/send-command.ts'
import { endingsOf } from '../summary.ts'
import { openStage } from '../testbed.ts'
import { atMost, percentile, type Scenario } from './scenario.ts'

const WAITS = 10_000
const CLIENTS = 80
const WAIT_S = 1
const KILL_EVERY_MS = 200
const LATE_BY_MS = 250
const EVENTS = 10

export const waits: Scenario = {
  name: 'waits',
  shows:
    '10,000 waits while the reply connections are killed every 200 ms and the workers come and go: each answered by its deadline + 250 ms',
  async run({ scale, patches = [], say }) {
    const stage = await openStage({ patches })
    const killer = startKilling(stage.fleet.apis)
    let done = false
    try {
      for (let eventId = 1; eventId <= EVENTS; eventId++) await stage.createEvent(eventId, 20)
      const total = Math.max(CLIENTS, Math.round(WAITS * scale))
      let started = 0
      const live = async (client: number): Promise<void> => {
        while (started < total) {
          const index = started++
          const eventId = 1 + (index % EVENTS)
          const wish = wishOf(
            index % (2 * EVENTS) < EVENTS ? 'book' : 'cancel',
            eventId,
            `waiter-${client}`,
          )
          const entry = stage.entries[client % stage.entries.length] ?? stage.entries[0]
          await sendCommand(stage, entry, wish, { prefer: `wait=${WAIT_S}` })
          await sleep(5)
        }
      }
      // Every other two seconds no worker gets through to Redis: those who wait then wait until their deadline.
      const tides = async (): Promise<void> => {
        while (!done) {
          await sleep(2000)
          for (const worker of stage.fleet.workers) worker.redisLink.hold()
          await sleep(1600)
          for (const worker of stage.fleet.workers) worker.redisLink.restore()
        }
      }
      const tide = tides()
      await Promise.all(Array.from({ length: CLIENTS }, (_, client) => live(client)))
      done = true
      await tide
      const { commands } = stage.history
      const lateBy = commands.map((call) => call.endedAtMs - call.sentAtMs - WAIT_S * 1000)
      const late = lateBy.filter((ms) => ms > LATE_BY_MS).length
      const atDeadline = commands.filter((call) => call.answer?.status === 202).length
      const unanswered = commands.filter((call) => !isAck(call.answer)).length
      say(endingsOf(stage.history))
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
          ...atMost('waits without an answer', unanswered, 0),
        ],
        findings: check(await stage.conclude()),
      }
    } finally {
      done = true
      killer.stop()
      await stage.close()
    }
  },
}

/** Kills every connection that reads a reply stream, again and again. */
function startKilling(apis: Slot[]): { count: () => number; stop: () => void } {
  let count = 0
  const timer = setInterval(() => {
    for (const api of apis) count += api.redisLink.cutAll('reply-read')
  }, KILL_EVERY_MS)
  return { count: () => count, stop: () => clearInterval(timer) }
}
