import { activityKey, type LineLayout, linePrefix, linesKey } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** Tells all workers that a line has work, as the API does with a job, and puts it where their sweepers look. */
export async function noteLine(
  redis: Redis,
  lineName: string,
  layout: LineLayout,
  nowMs: number,
): Promise<void> {
  const prefix = linePrefix(lineName, layout)
  await redis
    .multi()
    .xadd(activityKey(prefix), 'MAXLEN', '~', 20_000, '*', 'line', lineName)
    .zadd(linesKey(prefix), nowMs, lineName)
    .exec()
}
