import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { linePrefix, linesKey } from '../keys.js'
import { noteActivity } from '../registry.js'

/** Tells all workers that a line has work, as the API does with a job, and puts it where their sweepers look. */
export async function noteLine(redis: Redis, lineName: string, layout: LineLayout): Promise<void> {
  // All registrations of lines use Redis's clock.
  const [seconds] = await redis.time()
  await Promise.all([
    redis.zadd(linesKey(linePrefix(lineName, layout)), Number(seconds) * 1000, lineName),
    noteActivity(redis, layout, lineName),
  ])
}
