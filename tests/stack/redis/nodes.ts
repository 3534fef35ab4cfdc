import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Redis } from 'ioredis'
import { freePort, portIsFree } from '../../../tools/dev-stack/ports.mjs'
import { startRedis } from '../../../tools/dev-stack/redis.mjs'
import type { RedisProduct } from '../../../tools/dev-stack/redis-apt.mjs'
import { until } from '../../../tools/dev-stack/wait.mjs'
import type { RedisNode } from './deployment.ts'

export interface NodeOptions {
  /** Gets a folder for each node. */
  folder: string
  product?: RedisProduct
  /** Lines of redis.conf for all nodes. */
  settings?: string[]
}

/** The password of all nodes, for their clients and their replicas. */
export const PASSWORD = 'the-same-on-all-nodes'

/** A cluster node listens for the other nodes on a port that is this much higher. */
const BUS_PORT_OFFSET = 10_000

/** Starts servers that can replicate one another. */
export async function startNodes(
  count: number,
  { folder, product, settings = [] }: NodeOptions,
): Promise<RedisNode[]> {
  const starts = Array.from({ length: count }, async (_, index): Promise<RedisNode> => {
    const own = path.join(folder, `node-${index}`)
    mkdirSync(own, { recursive: true })
    writeFileSync(path.join(own, 'password'), PASSWORD, { mode: 0o600 })
    const port = await freeNodePort()
    const server = await startRedis({
      folder: own,
      from: 'local',
      port,
      settings: [`masterauth ${PASSWORD}`, 'repl-diskless-sync-delay 0', ...settings],
      ...(product !== undefined && { product }),
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

/** Runs a function with a connection that fails at once if the node is away. */
export async function withNode<T>(
  { url }: Pick<RedisNode, 'url'>,
  work: (redis: Redis) => Promise<T>,
): Promise<T> {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    commandTimeout: 5000,
  })
  redis.on('error', () => undefined)
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
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

/** @throws Error with `what` if it does not become true in time */
export async function waitUntil(
  what: string,
  check: () => Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  if (await until(check, { timeoutMs, everyMs: 50 })) return
  throw new Error(`after ${timeoutMs} ms it is still not true that ${what}`)
}
