import { every, type Log, type Loop, readFullness } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { LineRegistry } from '../registry.js'

/**
 * From this fullness of Redis on, finished jobs are removed at once. APIs refuse commands from 0.9.
 */
const SHORT_AT = 0.7
const LOOK_EVERY_MS = 1000
/**
 * Pause between two removals, ms. If one does not help, undecided commands fill Redis, and workers
 * must decide those.
 */
const REMOVE_EVERY_MS = 5000

export interface RoomMakerDeps {
  redis: Pick<Redis, 'info'>
  registry: Pick<LineRegistry, 'removeFinished'>
  log: Pick<Log, 'info' | 'warn'>
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/**
 * Makes room in a Redis that fills up: removes the finished jobs of all lines, which only the
 * dashboard shows. While there is enough room, the finished jobs of a line are removed once it has
 * been quiet for a while.
 */
export function createRoomMaker({ redis, registry, log, monotonicMs }: RoomMakerDeps): Loop {
  let removedAtMs = Number.NEGATIVE_INFINITY

  async function look(): Promise<void> {
    if (monotonicMs() - removedAtMs < REMOVE_EVERY_MS) return
    const fullness = await readFullness(redis)
    if (fullness < SHORT_AT) return
    removedAtMs = monotonicMs()
    const jobs = await registry.removeFinished()
    if (jobs > 0) log.info({ jobs, fullness }, 'finished jobs were removed because Redis fills up')
  }

  return every(LOOK_EVERY_MS, look, {
    onError: (err) => log.warn({ err }, 'finished jobs could not be removed'),
  })
}
