import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { installationKey, processesKey, shardPrefix } from '../keys.js'
import { defineRenewMark, defineTakeOwnership } from '../scripts.js'

/** The installation that owns the keys of a prefix in Redis. */
export interface RedisOwner {
  /** Id of the installation; undefined in a Redis that is new or was flushed. */
  installationId: string | undefined
  /** Random id of this Redis. */
  redisId: string | undefined
}

/** A process of the installation that was alive a moment ago. */
export interface ProcessMark {
  processId: string
  service: string
  /** Id of the database that it uses; undefined if its role may not read it. */
  databaseId: string | undefined
  /** When it last renewed this mark, by the clock of Redis, ms since 1970. */
  seenAtMs: number
}

/**
 * A process counts as alive for this long after its last heartbeat, ms. A heartbeat renews the mark
 * of the process.
 */
export const ALIVE_MS = 6000
/** How often a process checks whether its servers still belong together, ms. */
export const CHECK_EVERY_MS = 2000
/** Pause before a process that is not sure reads the owner again, ms. */
export const READ_AGAIN_MS = 250

/** A process that marks itself as alive. */
export interface ProcessIdentity extends Omit<ProcessMark, 'seenAtMs'> {
  /** Id of the installation that it belongs to. */
  installationId: string
}

/** The owner and the processes as one reply of Redis shows them. */
export interface OwnerReply extends RedisOwner {
  /** Processes that are alive, except the one that asks. */
  others: ProcessMark[]
}

/** Reads and writes the owner of a key prefix, and the marks of its processes. */
export interface RedisOwnership {
  read(): Promise<OwnerReply>
  /** Reads, and marks this process as alive if its installation owns the keys. */
  renew(self: ProcessIdentity): Promise<OwnerReply>
  /** Makes an installation the owner, unless there is one. */
  take(installationId: string, redisId: string): Promise<void>
  /** Removes the mark of a process that ends. */
  leave(processId: string): Promise<void>
  /** Removes the owner. */
  release(): Promise<void>
}

export function createRedisOwnership(
  redis: Redis,
  layout: Pick<LineLayout, 'keyPrefix'>,
): RedisOwnership {
  const prefix = shardPrefix(0, layout)
  const ownerKey = installationKey(prefix)
  const marksKey = processesKey(prefix)
  const renewMark = defineRenewMark(redis)
  const takeOwnership = defineTakeOwnership(redis)

  async function renew(self?: ProcessIdentity): Promise<OwnerReply> {
    const { installationId: ours = '', processId = '', service = '', databaseId = '' } = self ?? {}
    const [installationId, redisId, ...marks] = await renewMark(
      { owner: ownerKey, processes: marksKey },
      { installationId: ours, processId, service, databaseId },
      ALIVE_MS,
    )
    const others: ProcessMark[] = []
    for (let i = 0; i + 1 < marks.length; i += 2) {
      const [seenAtMs, service = '', databaseId] = String(marks[i + 1]).split(' ')
      others.push({
        processId: String(marks[i]),
        service,
        databaseId: databaseId || undefined,
        seenAtMs: Number(seenAtMs),
      })
    }
    return { installationId: installationId ?? undefined, redisId: redisId ?? undefined, others }
  }

  return {
    read: () => renew(),
    renew,
    take: (installationId, redisId) => takeOwnership(ownerKey, installationId, redisId),
    async leave(processId) {
      await redis.hdel(marksKey, processId)
    },
    async release() {
      await redis.del(ownerKey)
    },
  }
}
