import path from 'node:path'
import type { Redis } from 'ioredis'
import { freePort, portIsFree } from '../../../tools/dev-stack/ports.mjs'
import { startRedis } from '../../../tools/dev-stack/redis.mjs'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { withRedis } from './connection.ts'
import type { RedisNode } from './deployment.ts'

export interface NodeOptions {
  /** Gets a folder for each node. */
  folder: string
  /** Lines of redis.conf for all nodes. */
  settings?: string[]
}

/** The password of all nodes, for their clients and their replicas. */
export const PASSWORD = 'the-same-on-all-nodes'

/** A cluster node listens for the other nodes on a port that is this much higher. */
const BUS_PORT_OFFSET = 10_000

/**
 * Starts servers that can replicate one another. If one does not start, the others are stopped.
 *
 * @throws Error if no Redis is available outside of Docker, or if one does not start
 */
export async function startNodes(
  count: number,
  { folder, settings = [] }: NodeOptions,
): Promise<RedisNode[]> {
  const starts = Array.from({ length: count }, async (_, index): Promise<RedisNode> => {
    const own = path.join(folder, `node-${index}`)
    const port = await freeNodePort()
    const server = await startRedis({
      folder: own,
      from: 'local',
      port,
      password: PASSWORD,
      settings: [`masterauth ${PASSWORD}`, 'repl-diskless-sync-delay 0', ...settings],
    })
    return { ...server, port, folder: own }
  })
  const results = await Promise.allSettled(starts)
  const failed = results.find((result) => result.status === 'rejected')
  const nodes = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  if (failed === undefined) return nodes
  await stopNodes(nodes)
  throw failed.reason
}

/** Kills the nodes. A master that is stopped would wait up to 10 s for a replica that has ended. */
export async function stopNodes(nodes: readonly RedisNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()))
}

async function freeNodePort(): Promise<number> {
  for (;;) {
    const port = await freePort()
    if (await portIsFree(port + BUS_PORT_OFFSET)) return port
  }
}

const COMMAND_TIMEOUT_MS = 5000

/** Runs a function with a connection to a node. It fails soon if the node is away or frozen. */
export function withNode<T>(
  { url }: Pick<RedisNode, 'url'>,
  work: (redis: Redis) => Promise<T>,
): Promise<T> {
  return withRedis(url, work, COMMAND_TIMEOUT_MS)
}

export async function isMaster(node: RedisNode): Promise<boolean> {
  return withNode(node, async (redis) => (await redis.role())[0] === 'master').catch(() => false)
}

/** True for a replica that has everything that its master had when it connected. */
export async function isInStep(node: RedisNode): Promise<boolean> {
  return withNode(node, async (redis) =>
    (await redis.info('replication')).includes('master_link_status:up'),
  ).catch(() => false)
}

const WAIT_MS = 30_000

/** @throws Error with `what` if it is not true within 30 s */
export async function waitUntil(what: string, check: () => Promise<boolean>): Promise<void> {
  if (await until(check, { timeoutMs: WAIT_MS, everyMs: 50 })) return
  throw new Error(`after ${WAIT_MS} ms it is still not true that ${what}`)
}
