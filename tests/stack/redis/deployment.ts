import type { RedisProduct } from '../../../tools/dev-stack/redis-apt.mjs'
import type { Server } from '../../../tools/dev-stack/servers.mjs'
import type { Env } from '../processes.ts'

/** The ways to run Redis that the product supports. `single` is one Redis, `valkey` one Valkey. */
export type RedisKind = 'single' | 'cluster' | 'sentinel' | 'valkey'

const REDIS_KINDS: readonly RedisKind[] = ['single', 'cluster', 'sentinel', 'valkey']

/**
 * The kind that `TEST_REDIS` names; `single` if it is not set.
 *
 * @throws Error if there is no such kind
 */
export function chosenRedis(env: NodeJS.ProcessEnv = process.env): RedisKind {
  return readRedisKind(env['TEST_REDIS'] || 'single')
}

/** @throws Error with the names of all kinds, if there is no kind of this name */
export function readRedisKind(text: string): RedisKind {
  const kind = REDIS_KINDS.find((one) => one === text)
  if (kind !== undefined) return kind
  throw new Error(`Redis must be one of ${REDIS_KINDS.join(', ')}, not "${text}"`)
}

/** Tells whether Redis has several servers. */
export function isReplicated(kind: RedisKind): kind is ReplicatedRedis['kind'] {
  return kind === 'cluster' || kind === 'sentinel'
}

/** The product of a kind. Undefined if any Redis will do, or the Valkey on PATH. */
export function productOf(kind: RedisKind): RedisProduct | undefined {
  return kind === 'valkey' ? 'valkey' : undefined
}

/** One server with data, whether it is a master or a replica. */
export interface RedisNode extends Server {
  port: number
  folder: string
}

/** A Redis of several servers. A replica replaces a master that fails. */
export interface ReplicatedRedis {
  kind: 'cluster' | 'sentinel'
  /** Where its servers come from, as printed at the start. */
  source: string
  /** The settings with which a service finds the servers. */
  env: Env
  nodes: readonly RedisNode[]
  /** The nodes that are masters now. Nodes that do not answer are left out. */
  masters(): Promise<RedisNode[]>
  /**
   * Kills a master, and waits until its replica has been promoted.
   * @param pick chooses the master
   * @returns the node that was killed, so that the caller can start it again
   */
  killMaster(pick?: number): Promise<RedisNode>
  /**
   * Orders a failover, as for maintenance, and waits until another node is the master. No server
   * dies.
   * @param pick chooses the master that becomes a replica
   */
  failOver(pick?: number): Promise<void>
  /** Waits until every node runs, and every master has a replica in step. */
  healthy(): Promise<void>
  stop(): Promise<void>
}
