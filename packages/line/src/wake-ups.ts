/**
 * Wake-ups tell all workers that a line has work. A wake-up that is lost loses no command, because
 * the sweep of the workers finds the line later.
 */
import type { LineLayout } from '@ticket-line/shared'
import { linePrefix, wakeUpsKey } from './keys.js'
import type { LineRedis } from './line-redis.js'
import { followShards } from './streams.js'

/** About how many wake-ups a stream keeps for workers that read slowly. */
const WAKE_UPS_KEPT = 20_000

/** Maximum time that a read waits for a wake-up, ms. */
const READ_FOR_MS = 2000
/** Maximum number of wake-ups of one read, per shard. */
const READ_COUNT = 1000

/** Tells all workers that a line has work. */
export function sendWakeUp(
  redis: LineRedis,
  layout: LineLayout,
  lineName: string,
): Promise<unknown> {
  const prefix = linePrefix(lineName, layout)
  return redis
    .of(prefix)
    .xadd(wakeUpsKey(prefix), 'MAXLEN', '~', WAKE_UPS_KEPT, '*', 'line', lineName)
}

/**
 * Follows the wake-ups of all shards, from now on.
 *
 * @param readers connections that nothing else uses
 * @param listeners `onWakeUp` is called with the name of a line that has work. It must not throw.
 * `onStart` is called for each connection when no further wake-up can be missed on it
 * @returns a function that stops it and closes the connections
 */
export function followWakeUps(
  readers: LineRedis,
  listeners: {
    onStart: () => void
    onWakeUp: (lineName: string) => void
    onError: (error: unknown) => void
  },
): () => void {
  return followShards(readers, {
    keyOf: wakeUpsKey,
    lastId: '$',
    blockMs: READ_FOR_MS,
    count: READ_COUNT,
    onStart: listeners.onStart,
    onEntry([, lineName]) {
      if (lineName !== undefined) listeners.onWakeUp(lineName)
    },
    onError: listeners.onError,
  })
}
