import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
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

export interface RedisCluster extends ReplicatedRedis {
  kind: 'cluster'
  /**
   * Moves the slot of a key or hash tag to another master, as a resharding does: key by key, while
   * clients use the slot.
   * @param pauseMs pause after each 20 keys, as if there were many more
   * @returns the master that has the slot now
   */
  moveSlot(key: string, pauseMs?: number): Promise<RedisNode>
}

const MASTERS = 3
const SLOTS = 16_384
/** After this time without a reply, the other masters count a node as failed, ms. */
const NODE_TIMEOUT_MS = 2000

const SETTINGS = [
  'cluster-enabled yes',
  `cluster-node-timeout ${NODE_TIMEOUT_MS}`,
  // A master keeps its own replica, so that tests know which node is promoted.
  'cluster-allow-replica-migration no',
]

/** Starts a Redis Cluster of three masters, each with one replica. */
export async function startRedisCluster(options: NodeOptions): Promise<RedisCluster> {
  const settings = [...SETTINGS, ...(options.settings ?? [])]
  const nodes = await startNodes(2 * MASTERS, { ...options, settings })
  try {
    await formCluster(nodes)
  } catch (error) {
    await stopNodes(nodes)
    throw error
  }
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)

  async function masters(): Promise<RedisNode[]> {
    const areMasters = await Promise.all(nodes.map(isMaster))
    return nodes.filter((_, index) => areMasters[index])
  }

  async function pickMaster(pick: number): Promise<RedisNode> {
    const all = await masters()
    return all[pick % all.length] as RedisNode
  }

  async function replicaOf(master: RedisNode): Promise<RedisNode> {
    const id = await idOf(master)
    const lines = await withNode(master, (redis) => redis.cluster('REPLICAS', id))
    const port = Number(/:(\d+)@/.exec(String(lines))?.[1])
    const replica = nodes.find((node) => node.port === port)
    if (replica === undefined) throw new Error(`the master on port ${master.port} has no replica`)
    return replica
  }

  /** The master that serves the slot of a key or hash tag. */
  async function masterOf(key: string): Promise<RedisNode> {
    const [first] = await masters()
    return withNode(first as RedisNode, async (redis) => {
      const slot = await redis.cluster('KEYSLOT', key)
      const ranges = await redis.cluster('SLOTS')
      const range = ranges.find(([from, to]) => from <= slot && slot <= to)
      const master = nodes.find(({ port }) => port === range?.[2]?.[1])
      if (master === undefined) throw new Error(`no master serves slot ${slot}`)
      return master
    })
  }

  return {
    kind: 'cluster',
    source: `a cluster of ${nodes.length} nodes (${nodes[0]?.source})`,
    env: { REDIS_CLUSTER: addresses.join(','), REDIS_PASSWORD: PASSWORD },
    nodes,
    masters,
    async killMaster(pick = 0) {
      const master = await pickMaster(pick)
      const replica = await replicaOf(master)
      await master.kill()
      await waitUntil('the replica of the killed master is a master', () => isMaster(replica))
      return master
    },
    async failOver(pick = 0) {
      const replica = await replicaOf(await pickMaster(pick))
      await withNode(replica, (redis) => redis.cluster('FAILOVER'))
      await waitUntil('the replica is a master', () => isMaster(replica))
    },
    async moveSlot(key, pauseMs = 0) {
      const from = await masterOf(key)
      const to = (await masters()).find((node) => node !== from) as RedisNode
      await migrateSlot(key, from, to, { masters: await masters(), pauseMs })
      return to
    },
    healthy: () => waitUntil('the cluster is healthy', () => isHealthy(nodes)),
    stop: () => stopNodes(nodes),
  }
}

/** Does what `redis-cli --cluster create` does. */
async function formCluster(nodes: readonly RedisNode[]): Promise<void> {
  const [first] = nodes as [RedisNode]
  const masters = nodes.slice(0, MASTERS)
  await Promise.all(
    nodes.map((node, index) =>
      withNode(node, async (redis) => {
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
        if (index >= MASTERS) return
        const from = Math.floor((index * SLOTS) / MASTERS)
        const to = Math.floor(((index + 1) * SLOTS) / MASTERS) - 1
        await redis.call('CLUSTER', 'ADDSLOTSRANGE', from, to)
      }),
    ),
  )
  await withNode(first, async (redis) => {
    for (const { port } of nodes.slice(1)) await redis.cluster('MEET', '127.0.0.1', port)
  })
  const everyNodeSays = async (...lines: string[]): Promise<boolean> => {
    const infos = await onEach(nodes, (redis) => redis.cluster('INFO') as Promise<string>)
    return infos.every((info) => lines.every((line) => info.includes(line)))
  }
  await waitUntil('all nodes know one another', () =>
    everyNodeSays(`cluster_known_nodes:${nodes.length}`, 'cluster_state:ok'),
  )
  const masterIds = await Promise.all(masters.map(idOf))
  await Promise.all(
    nodes
      .slice(MASTERS)
      .map((node, index) =>
        withNode(node, (redis) => redis.cluster('REPLICATE', masterIds[index] as string)),
      ),
  )
  // Until a node knows which nodes are replicas, it may send clients to one of them.
  await waitUntil('the new cluster is healthy', () => isHealthy(nodes))
}

/** True if all nodes agree that each master has a replica, and all replicas are in step. */
async function isHealthy(nodes: readonly RedisNode[]): Promise<boolean> {
  const views = await onEach(nodes, (redis) => redis.cluster('NODES') as Promise<string>)
  const count = (view: string, flag: RegExp): number => (view.match(flag) ?? []).length
  const agreed = views.every(
    (view) => count(view, /\bslave\b/g) === MASTERS && count(view, /\bfail\b|\bfail\?/g) === 0,
  )
  if (!agreed) return false
  const inStep = await Promise.all(nodes.map(isInStep))
  return inStep.filter(Boolean).length === MASTERS
}

/** Runs a function on each node. @throws if a node is away */
function onEach<T>(nodes: readonly RedisNode[], work: (redis: Redis) => Promise<T>): Promise<T[]> {
  return Promise.all(nodes.map((node) => withNode(node, work)))
}

function idOf(node: RedisNode): Promise<string> {
  return withNode(node, (redis) => redis.cluster('MYID') as Promise<string>)
}

const KEYS_AT_ONCE = 20
const MIGRATE_TIMEOUT_MS = 5000

/** Does what `redis-cli --cluster reshard` does for one slot. */
async function migrateSlot(
  key: string,
  from: RedisNode,
  to: RedisNode,
  { masters, pauseMs }: { masters: readonly RedisNode[]; pauseMs: number },
): Promise<void> {
  const [fromId, toId] = await Promise.all([idOf(from), idOf(to)])
  await withNode(from, async (source) => {
    const slot = await source.cluster('KEYSLOT', key)
    const assign = (redis: Redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    await withNode(to, async (target) => {
      await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
      await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
      for (;;) {
        const keys = (await source.cluster('GETKEYSINSLOT', slot, KEYS_AT_ONCE)) as string[]
        if (keys.length === 0) break
        const address = ['127.0.0.1', to.port, '', 0, MIGRATE_TIMEOUT_MS]
        await source.call('MIGRATE', ...address, 'AUTH', PASSWORD, 'KEYS', ...keys)
        await sleep(pauseMs)
      }
      // The new owner comes first, so that no client is sent back to a node without the keys.
      await assign(target)
      await assign(source)
    })
    for (const other of masters)
      if (other !== from && other !== to) await withNode(other, (redis) => assign(redis))
  })
}
