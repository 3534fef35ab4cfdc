/**
 * Wake-ups tell all workers that a line has work. A wake-up that is lost loses no command, because
 * the sweep of the workers finds the line later.
 */
import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { linePrefix, shardPrefixes, wakeUpsKey } from './keys.js'
import { followStreams } from './streams.js'

/** About how many wake-ups a stream keeps for workers that read slowly. */
const WAKE_UPS_KEPT = 20_000

/** Maximum time that a read waits for a wake-up, ms. */
const READ_FOR_MS = 2000
/** Maximum number of wake-ups of one read, per shard. */
const READ_COUNT = 1000

/** Tells all workers that a line has work. */
export function sendWakeUp(redis: Redis, layout: LineLayout, lineName: string): Promise<unknown> {
  const key = wakeUpsKey(linePrefix(lineName, layout))
  return redis.xadd(key, 'MAXLEN', '~', WAKE_UPS_KEPT, '*', 'line', lineName)
}

/**
 * Follows the wake-ups of all shards, from now on.
 *
 * @param redis a connection that nothing else uses
 * @param listeners `onWakeUp` is called with the name of a line that has work. It must not throw.
 * `onStart` is called when no further wake-up can be missed
 * @returns a function that stops it and closes the connection
 */
export function followWakeUps(
  redis: Redis,
  layout: LineLayout,
  listeners: {
    onStart: () => void
    onWakeUp: (lineName: string) => void
    onError: (error: unknown) => void
  },
): () => void {
  return followStreams({
    redis,
    streams: shardPrefixes(layout).map((prefix) => ({ key: wakeUpsKey(prefix), lastId: '$' })),
    blockMs: READ_FOR_MS,
    count: READ_COUNT,
    onStart: listeners.onStart,
    onEntry([, lineName]) {
      if (lineName !== undefined) listeners.onWakeUp(lineName)
    },
    onError: listeners.onError,
  })
}
