import { every, readFullness } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** Fullness of Redis from which on no more commands are taken. What is left is for the workers: they must write to empty it. */
const FULL_AT = 0.9
/** Less than it takes to fill a tenth of a Redis, at any rate an API process can add. */
const LOOK_EVERY_MS = 1000

export interface RedisRoomDeps {
  redis: Pick<Redis, 'info' | 'status'>
  onChange: (hasRoom: boolean) => void
}

/**
 * Looks how full Redis is. A Redis at its `maxmemory` refuses what workers write to fetch a job and to answer it just as it
 * refuses an add, and would stay full until somebody gives it more.
 *
 * @returns `hasRoom`: false while commands should be refused; true where Redis is unlimited or does not tell
 */
export function watchRedisRoom({ redis, onChange }: RedisRoomDeps): {
  hasRoom: () => boolean
  stop: () => void
} {
  let hasRoom = true

  async function look(): Promise<void> {
    if (redis.status !== 'ready') return
    const now = (await readFullness(redis)) < FULL_AT
    if (now !== hasRoom) onChange(now)
    hasRoom = now
  }

  // Without an answer, the last one counts. Availability is watched elsewhere.
  const loop = every(LOOK_EVERY_MS, look, { onError: () => undefined })
  return { hasRoom: () => hasRoom, stop: () => void loop.stop() }
}
