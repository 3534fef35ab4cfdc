import type { LineLayout } from '@ticket-line/shared'
import { connectionName } from '../keys.js'
import type { LineRedis } from '../line-redis.js'

/** How many processes of the installation are connected to Redis. */
export interface ConnectedProcesses {
  workers: number
  apis: number
  notifiers: number
}

/**
 * Counts processes by the names of their connections.
 *
 * @returns undefined if Redis does not list its connections, because it is a managed service or
 * behind a proxy, or because the Redis user lacks the permission
 */
export async function countProcesses(
  redis: LineRedis,
  layout: LineLayout,
): Promise<ConnectedProcesses | undefined> {
  let list: string
  try {
    // In a cluster each process has a connection to the first shard.
    list = (await redis.first.client('LIST')) as string
  } catch {
    return undefined
  }
  const count = (name: string): number => list.split(` name=${name} `).length - 1
  // A list without the connection of this process is not complete.
  if (count(connectionName('ops', layout)) === 0) return undefined
  return {
    workers: count(connectionName('worker', layout)),
    apis: count(connectionName('api', layout)),
    notifiers: count(connectionName('notifier', layout)),
  }
}
