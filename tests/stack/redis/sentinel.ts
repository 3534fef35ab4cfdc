import path from 'node:path'
import { startSentinel } from '../../../tools/dev-stack/redis-sentinel.mjs'
import type { Server } from '../../../tools/dev-stack/servers.mjs'
import type { RedisNode, ReplicatedRedis } from './deployment.ts'
import {
  isInStep,
  isMaster,
  type NodeOptions,
  PASSWORD,
  startNodes,
  stopNodes,
  waitUntil,
  withNode,
} from './nodes.ts'

const NODES = 3
const SENTINELS = 3
const QUORUM = 2
const NAME = 'mymaster'
/** After this time without a reply, a Sentinel counts the master as down, ms. */
const DOWN_AFTER_MS = 2000
/** Another failover may begin after twice this time, ms. */
const FAILOVER_TIMEOUT_MS = 3000

/**
 * Starts a master, two replicas, and three Sentinels that watch them. A former master refuses
 * writes as soon as its replicas have left it, as docs/operations.md recommends.
 */
export async function startWatchedRedis(options: NodeOptions): Promise<ReplicatedRedis> {
  const settings = ['min-replicas-to-write 1', ...(options.settings ?? [])]
  const nodes = await startNodes(NODES, { ...options, settings })
  const [first, ...replicas] = nodes as [RedisNode, ...RedisNode[]]
  const sentinels: Server[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(sentinels.map((sentinel) => sentinel.stop()))
    await stopNodes(nodes)
  }

  /** The master that most Sentinels name. @throws Error if they do not agree */
  async function master(): Promise<RedisNode> {
    const addresses = await Promise.allSettled(
      sentinels.map((sentinel) =>
        withNode(sentinel, (redis) => redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)),
      ),
    )
    const ports = addresses.flatMap((result) =>
      result.status === 'fulfilled' ? [Number((result.value as string[])[1])] : [],
    )
    // Right after a failover, some of them still name the old master.
    const port = ports.find((one) => ports.filter((other) => other === one).length >= QUORUM)
    const node = nodes.find((one) => one.port === port)
    if (node === undefined) throw new Error('the sentinels do not agree on a master')
    return node
  }

  /** Waits until another node than `from` is the master. */
  async function waitForOther(from: RedisNode): Promise<void> {
    await waitUntil('the sentinels name another node', async () => (await master()) !== from)
    const to = await master()
    await waitUntil('the other node is a master', () => isMaster(to))
  }

  try {
    for (const replica of replicas) {
      await withNode(replica, (redis) => redis.replicaof('127.0.0.1', first.port))
      await waitUntil('the replica is in step', () => isInStep(replica))
    }
    const monitored = [
      `sentinel monitor ${NAME} 127.0.0.1 ${first.port} ${QUORUM}`,
      `sentinel auth-pass ${NAME} ${PASSWORD}`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${NAME} ${FAILOVER_TIMEOUT_MS}`,
    ]
    for (let index = 0; index < SENTINELS; index++)
      sentinels.push(
        await startSentinel({
          folder: path.join(options.folder, `sentinel-${index}`),
          settings: monitored,
        }),
      )
    await waitUntil('every sentinel knows the replicas and the other sentinels', async () =>
      (await Promise.all(sentinels.map(knowsAll))).every(Boolean),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    kind: 'sentinel',
    source: `a master, ${NODES - 1} replicas and ${SENTINELS} sentinels (${first.source})`,
    env: {
      REDIS_SENTINELS: sentinels.map(({ url }) => new URL(url).host).join(','),
      REDIS_SENTINEL_NAME: NAME,
      REDIS_PASSWORD: PASSWORD,
    },
    nodes,
    // A node that was master before may call itself master until the Sentinels make it a replica.
    masters: async () => [await master()],
    async killMaster() {
      const killed = await master()
      await killed.kill()
      await waitForOther(killed)
      return killed
    },
    async failOver() {
      const from = await master()
      const [sentinel] = sentinels as [Server]
      await waitUntil('a sentinel accepts the order', () =>
        withNode(sentinel, (redis) => redis.call('SENTINEL', 'FAILOVER', NAME)).then(
          () => true,
          () => false,
        ),
      )
      await waitForOther(from)
    },
    // Sentinels make an old master a replica about 10 s after the failover.
    healthy: () =>
      waitUntil('the other nodes are replicas in step', async () => {
        const current = await master()
        const others = nodes.filter((node) => node !== current)
        return (await Promise.all(others.map(isInStep))).every(Boolean)
      }),
    stop,
  }
}

async function knowsAll(sentinel: Server): Promise<boolean> {
  const reply = (await withNode(sentinel, (redis) =>
    redis.call('SENTINEL', 'MASTER', NAME),
  )) as string[]
  const field = (name: string): number => Number(reply[reply.indexOf(name) + 1])
  return field('num-slaves') === NODES - 1 && field('num-other-sentinels') === SENTINELS - 1
}
