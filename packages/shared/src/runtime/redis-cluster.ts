/// <reference path="./cluster-key-slot.d.ts" />
import { createConnection } from 'node:net'
import { connect as connectByTls } from 'node:tls'
import slotOf from 'cluster-key-slot'
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis'
import { sleep } from './deadline.js'
import { type ClusterSettings, loginOf, type RedisNode } from './redis-settings.js'

/** The slots from `first` to `last`, and the master that has them. */
interface SlotRange {
  first: number
  last: number
  master: RedisNode
}

/** How long a node may take to connect, and to answer, ms. */
const ASK_TIMEOUT_MS = 1000
/** Maximum pause before the nodes are asked again, ms. */
const MAX_PAUSE_MS = 1000

/** Finds out which node of a cluster has which slots. */
export interface ClusterTopology {
  /**
   * Asks the cluster for the masters that have slots.
   *
   * @throws Error if no node answers
   */
  masters(): Promise<RedisNode[]>
  /**
   * Asks the cluster for the master of a slot.
   *
   * @throws Error if no node answers, or none has the slot
   */
  masterOf(slot: number): Promise<RedisNode>
}

const topologies = new WeakMap<ClusterSettings, ClusterTopology>()

/** The topology of a cluster. All connections with the same settings share it. */
export function topologyOf(settings: ClusterSettings): ClusterTopology {
  let topology = topologies.get(settings)
  if (topology === undefined) {
    topology = createTopology(settings)
    topologies.set(settings, topology)
  }
  return topology
}

/**
 * Asks one node after the other, beginning with a random one, until one answers. After the first
 * answer it knows all nodes. Calls that arrive while a node is being asked share its answer.
 */
function createTopology(settings: ClusterSettings): ClusterTopology {
  let known: readonly RedisNode[] = settings.nodes
  let asked: Promise<SlotRange[]> | undefined

  async function askAny(): Promise<SlotRange[]> {
    let lastError = ''
    for (const node of [...rotated(known), ...settings.nodes]) {
      try {
        const { ranges, nodes } = parseSlots(await askForSlots(node, settings), node)
        known = nodes
        return ranges
      } catch (error) {
        lastError = (error as Error).message
      }
    }
    throw new Error(`no node of the Redis Cluster has answered: ${lastError}`)
  }

  function ask(): Promise<SlotRange[]> {
    asked ??= askAny().finally(() => {
      asked = undefined
    })
    return asked
  }

  return {
    async masters() {
      const byAddress = new Map(
        (await ask()).map(({ master }) => [`${master.host} ${master.port}`, master]),
      )
      return [...byAddress.values()]
    },
    async masterOf(slot) {
      const range = (await ask()).find(({ first, last }) => first <= slot && slot <= last)
      if (range === undefined) throw new Error(`no node of the Redis Cluster has slot ${slot}`)
      return range.master
    },
  }
}

async function askForSlots(node: RedisNode, settings: ClusterSettings): Promise<unknown> {
  const redis = new Redis({
    ...node,
    ...loginOf(settings),
    ...(settings.tls && { tls: {} }),
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: null,
    maxRetriesPerRequest: 0,
    connectTimeout: ASK_TIMEOUT_MS,
    commandTimeout: ASK_TIMEOUT_MS,
  })
  let cause: Error | undefined
  redis.on('error', (error) => {
    cause = error
  })
  try {
    return await redis.cluster('SLOTS')
  } catch (error) {
    // ioredis rejects the command only with "Connection is closed".
    throw cause ?? error
  } finally {
    redis.disconnect()
  }
}

/** Parses the reply of `CLUSTER SLOTS`. A node may leave out its own host. */
function parseSlots(
  reply: unknown,
  { host: askedHost }: RedisNode,
): { ranges: SlotRange[]; nodes: RedisNode[] } {
  type Server = [host: string | null, port: number, ...rest: unknown[]]
  const servers = new Map<string, RedisNode>()
  const nodeOf = ([host, port]: Server): RedisNode => {
    const node = { host: host && host !== '?' ? host : askedHost, port: Number(port) }
    servers.set(`${node.host} ${node.port}`, node)
    return node
  }
  const ranges = (reply as [first: number, last: number, ...servers: Server[]][]).map(
    ([first, last, ...ofRange]) => {
      const [master] = ofRange.map(nodeOf)
      return { first: Number(first), last: Number(last), master: master as RedisNode }
    },
  )
  return { ranges, nodes: [...servers.values()] }
}

/**
 * Creates an ioredis connector that leads to the master of the keys with a prefix. The prefix must
 * have a hash tag, so that all these keys are in one slot. Each time the connection is opened, the
 * connector asks the cluster which node has the slot.
 *
 * The connection serves one slot only. If the slot moves, or its master becomes a replica, Redis
 * answers with MOVED, and the connection reconnects like any other whose server takes no writes
 * (`reconnection` in `redis.ts`). So the commands of a shard keep their order, none is sent to two
 * nodes, and the connection closes whenever its data may have changed.
 */
export function slotConnector(
  settings: ClusterSettings,
  prefix: string,
): NonNullable<RedisOptions['Connector']> {
  const topology = topologyOf(settings)
  const slot = slotOf(prefix)
  return class SlotConnector extends AbstractConnector {
    constructor(options: unknown) {
      super((options as { disconnectTimeout: number }).disconnectTimeout)
    }

    /** Called with the INFO of the server after each connect. False drops the connection. */
    override check(info: { role?: string }): boolean {
      return info.role === undefined || info.role === 'master'
    }

    /**
     * Tries until it finds the master, because ioredis gives up after a rejection. Rejects only if
     * the connection is closed in the meantime.
     */
    override async connect(emit: (type: string, error: Error) => void) {
      this.connecting = true
      for (let attempt = 1; ; attempt++) {
        const master = await topology.masterOf(slot).catch((error: Error) => {
          emit('error', error)
          return sleep(Math.min(50 * attempt, MAX_PAUSE_MS))
        })
        if (!this.connecting) throw new Error('Connection is closed.')
        if (master) return this.#open(master)
      }
    }

    #open(master: RedisNode) {
      this.stream = settings.tls ? connectByTls({ ...master }) : createConnection(master)
      this.stream.once('error', (error: Error) => {
        this.firstError = error
      })
      return this.stream
    }
  }
}

/** The same values in the same circular order, beginning with a random one. */
function rotated<T>(values: readonly T[]): T[] {
  const start = Math.floor(Math.random() * values.length)
  return [...values.slice(start), ...values.slice(0, start)]
}
