import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 4000
/** The finished jobs of fewer events, at 6.5 KB each, would fit into `ROOM_BYTES`. */
const MIN_EVENTS = 2000
const ROOM_BYTES = 8_000_000
const BOOKINGS_PER_SECOND = 100
const CLIENTS = 8
const LINE_IDLE_MS = 5000
const QUIET_EVENT_BYTES = 8000
const TIDY_WITHIN_MS = 60_000

export const finishedJobs: Scenario = {
  name: 'finished-jobs',
  proves:
    'When the finished jobs of quiet events do not fit into Redis, workers remove them before anything is refused, and a quiet event keeps at most 8 KB.',
  async run({ scale, log }) {
    const events = Math.max(MIN_EVENTS, Math.round(EVENTS * scale))
    const testbed = await openTestbed({ env: { LINE_IDLE_MS: String(LINE_IDLE_MS) } })
    const { fleet, history, endpoints } = testbed
    const redis = new Redis(fleet.redis.url)
    const usedBytes = async (): Promise<number> =>
      Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1])
    try {
      for (let eventId = 1; eventId <= events; eventId++) await testbed.createEvent(eventId, 1)
      const before = await usedBytes()
      await redis.config('SET', 'maxmemory', before + ROOM_BYTES)
      let most = before
      let next = 1
      const startedAt = performance.now()
      await Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          for (let eventId = next++; eventId <= events; eventId = next++) {
            const dueAt = startedAt + (eventId * 1000) / BOOKINGS_PER_SECOND
            await sleep(Math.max(0, dueAt - performance.now()))
            const endpoint = endpoints[eventId % endpoints.length] ?? endpoints[0]
            await sendCommand(testbed, endpoint, commandOf('book', eventId, `user-${eventId}`))
            if (eventId % 50 === 0) most = Math.max(most, await usedBytes())
            if (eventId % 1000 === 0) log(`${eventId} events booked`)
          }
        }),
      )
      const keptBytes = async (): Promise<number> =>
        Math.max(0, (await usedBytes()) - before) / events
      await until(async () => (await keptBytes()) <= QUIET_EVENT_BYTES, {
        timeoutMs: TIDY_WITHIN_MS,
      })
      const kept = Math.round(await keptBytes())
      const booked = history.commands.filter(({ answer }) => answer?.status === 200).length
      await redis.config('SET', 'maxmemory', 0)
      return {
        figures: {
          events,
          booked,
          mostUsedOfMaxmemory: (most / (before + ROOM_BYTES)).toFixed(2),
          keptBytesPerQuietEvent: kept,
        },
        missed: [
          ...atMost('bookings that were refused', events - booked, 0),
          ...atMost('bytes that a quiet event keeps in Redis', kept, QUIET_EVENT_BYTES),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      redis.disconnect()
      await testbed.close()
    }
  },
}
