import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import { sendCommand, wishOf } from '../load/send-command.ts'
import { openStage } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 4000
/** With fewer events their finished jobs, 6.5 KB each, would fit into the room. */
const MIN_EVENTS = 2000
const ROOM_BYTES = 8_000_000
const BOOKINGS_PER_SECOND = 100
const CLIENTS = 8
const LINE_IDLE_MS = 5000
const QUIET_EVENT_BYTES = 8000
const TIDY_WITHIN_MS = 60_000

export const finishedJobs: Scenario = {
  name: 'finished-jobs',
  shows:
    'the finished jobs of quiet events do not fit into Redis: workers remove them before anything is refused, and a quiet event keeps at most 8 KB',
  async run({ scale, patches = [], say }) {
    const events = Math.max(MIN_EVENTS, Math.round(EVENTS * scale))
    const stage = await openStage({ patches, env: { LINE_IDLE_MS: String(LINE_IDLE_MS) } })
    const { fleet, history, entries } = stage
    const redis = new Redis(fleet.redis.url)
    const usedBytes = async (): Promise<number> =>
      Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1])
    try {
      for (let eventId = 1; eventId <= events; eventId++) await stage.createEvent(eventId, 1)
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
            const entry = entries[eventId % entries.length] ?? entries[0]
            await sendCommand(stage, entry, wishOf('book', eventId, `user-${eventId}`))
            if (eventId % 50 === 0) most = Math.max(most, await usedBytes())
            if (eventId % 1000 === 0) say(`${eventId} events booked`)
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
        findings: check(await stage.conclude()),
      }
    } finally {
      redis.disconnect()
      await stage.close()
    }
  },
}
