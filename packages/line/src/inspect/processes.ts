import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { connectionName } from '../keys.js'

/** How many processes of the installation are connected to Redis. */
export interface ConnectedProcesses {
  workers: number
  apis: number
}

/**
 * @returns undefined if the answer is hidden, by a managed service, a proxy, or the rights of the
 * user
 */
export async function countProcesses(
  redis: Redis,
  layout: LineLayout,
): Promise<ConnectedProcesses | undefined> {
  let text: string
  try {
    text = (await redis.client('LIST')) as string
  } catch {
    return undefined
  }
  const count = (name: string): number => text.split(` name=${name} `).length - 1
  // If the list does not contain our own connection, it is not complete.
  if (count(connectionName('ops', layout)) === 0) return undefined
  return {
    workers: count(connectionName('worker', layout)),
    apis: count(connectionName('api', layout)),
  }
}
