import type { Cluster, Redis } from 'ioredis'
import type { Server } from '../../../tools/dev-stack/servers.mjs'
import type { Env } from '../processes.ts'

/** The ways to run Redis that the product supports. */
export type RedisKind = 'single' | 'cluster' | 'sentinel' | 'valkey'

export const REDIS_KINDS: readonly RedisKind[] = ['single', 'cluster', 'sentinel', 'valkey']

/** One server with data, whether it is a master or a replica. */
export interface RedisNode extends Server {
  port: number
  folder: string
}

/** A running Redis of one kind, of one server or several. */
export interface RedisDeployment {
  kind: RedisKind
  /** Where its servers come from, as printed at the start. */
  source: string
  /** The settings with which a service finds it. */
  env: Env
  nodes: readonly RedisNode[]
  /** The nodes that are masters now, by their own account. Nodes that do not answer are left out. */
  masters(): Promise<RedisNode[]>
  /** A client that finds each key. The caller disconnects it. */
  connect(): Redis | Cluster
  stop(): Promise<void>
}

/** A deployment that fails over to a replica. */
export interface ReplicatedRedis extends RedisDeployment {
  /**
   * Kills a master, and waits until its replica has been promoted.
   * @param pick chooses the master
   * @returns the node that was killed, so that the caller can start it again
   */
  killMaster(pick?: number): Promise<RedisNode>
  /**
   * Orders a failover, as for maintenance: no server dies.
   * @param pick chooses the master that becomes a replica
   * @returns when another node is the master
   */
  failOver(pick?: number): Promise<void>
  /** Waits until every node runs, and every master has a replica in step. */
  healthy(): Promise<void>
}
