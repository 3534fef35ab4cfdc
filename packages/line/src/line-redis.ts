/**
 * The connections of a process to the shards of its lines.
 *
 * A shard is one slot of a Redis Cluster, and its slot may be on any node. So in a cluster each
 * shard has a connection of its own, which follows the slot (`slotConnector` in `packages/shared`).
 * Otherwise all shards are on one server, and share one connection.
 */
import {
  createReaderRedis,
  createWriteProbe,
  type LineLayout,
  type RedisSettings,
  type RedisTarget,
  reconnectTogether,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { connectionName, shardPrefix, shardPrefixes } from './keys.js'

/** A connection, and the prefixes of the shards that it leads to. */
export interface ShardConnection {
  redis: Redis
  prefixes: readonly [string, ...string[]]
}

/** The connections of a process to all shards, opened for one purpose. */
export interface LineRedis {
  /**
   * The connection to the shard with a prefix. A tool may also pass the prefix of a former layout,
   * to find what that layout has left. In a cluster, this then opens a connection.
   */
  of(prefix: string): Redis
  /** The connection to the first shard, which also has the keys of the installation. */
  readonly first: Redis
  /** Each connection once, in the order of the shards. */
  readonly connections: readonly ShardConnection[]
  disconnect(): void
}

/** The targets of the connections to a layout: one for each shard in a cluster, otherwise one. */
export function redisTargets(settings: RedisSettings, layout: LineLayout): RedisTarget[] {
  const prefixes = shardPrefixes(layout)
  return (settings.kind === 'cluster' ? prefixes : prefixes.slice(0, 1)).map((prefix) => ({
    settings,
    prefix,
  }))
}

/** The target that has the keys of the installation and of the API's limits. */
export function firstTarget(settings: RedisSettings, layout: LineLayout): RedisTarget {
  return { settings, prefix: shardPrefix(0, layout) }
}

/**
 * The name of a connection. Those to the first shard have the name of their process, so that `ops`
 * can count the processes. Several shards may be on one node, so the others have another name.
 */
export function nameOfConnection(
  service: Parameters<typeof connectionName>[0],
  layout: LineLayout,
  { prefix }: RedisTarget,
): string {
  const name = connectionName(service, layout)
  return prefix === shardPrefix(0, layout) ? name : `${name}:shard`
}

/**
 * Opens the connections to all shards of a layout.
 *
 * @param open Called with the target of each connection.
 */
export function openLineRedis(
  settings: RedisSettings,
  layout: LineLayout,
  open: (target: RedisTarget) => Redis,
): LineRedis {
  if (settings.kind !== 'cluster') return onOneServer(open(firstTarget(settings, layout)), layout)
  // Prefixes with the same hash tag are in the same slot.
  const byTag = new Map<string, Redis>()
  function of(prefix: string): Redis {
    const tag = prefix.slice(prefix.indexOf('{'))
    let redis = byTag.get(tag)
    if (redis === undefined) {
      redis = open({ settings, prefix })
      byTag.set(tag, redis)
    }
    return redis
  }
  const connections = shardPrefixes(layout).map(
    (prefix): ShardConnection => ({ redis: of(prefix), prefixes: [prefix] }),
  )
  return {
    of,
    first: of(shardPrefix(0, layout)),
    connections,
    disconnect() {
      for (const redis of byTag.values()) redis.disconnect()
    },
  }
}

/**
 * Opens a reader for each connection of `writer`. A reader reconnects when that connection closes;
 * see `reconnectTogether`.
 */
export function openReaders(
  settings: RedisSettings,
  layout: LineLayout,
  writer: LineRedis,
): LineRedis {
  return openLineRedis(settings, layout, (target) => {
    const reader = createReaderRedis(target).on('error', () => undefined)
    reconnectTogether(writer.of(target.prefix), reader)
    return reader
  })
}

/** Uses one connection for all shards of a layout. */
export function onOneServer(redis: Redis, layout: LineLayout): LineRedis {
  const prefixes = shardPrefixes(layout) as [string, ...string[]]
  return {
    of: () => redis,
    first: redis,
    connections: [{ redis, prefixes }],
    disconnect: () => redis.disconnect(),
  }
}

/**
 * Calls `create` once for each connection, for example to define a script on it.
 *
 * @returns a function that returns what was created for the connection to the shard with a prefix
 */
export function onEachShard<T>(
  redis: LineRedis,
  create: (redis: Redis) => T,
): (prefix: string) => T {
  const created = new Map<Redis, T>()
  function createdFor(connection: Redis): T {
    let value = created.get(connection)
    if (value === undefined) {
      value = create(connection)
      created.set(connection, value)
    }
    return value
  }
  for (const connection of redis.connections) createdFor(connection.redis)
  return (prefix) => createdFor(redis.of(prefix))
}

/** True if all connections are open. */
export function isConnected({ connections }: Pick<LineRedis, 'connections'>): boolean {
  return connections.every(({ redis }) => redis.status === 'ready')
}

/**
 * Asks whether all shards accept writes; see `createWriteProbe`.
 *
 * @returns a function that asks. It rejects with the first error of a shard
 */
export function createShardProbe({
  connections,
}: Pick<LineRedis, 'connections'>): () => Promise<unknown> {
  const probes = connections.map(({ redis, prefixes }) => createWriteProbe(redis, prefixes[0]))
  return () => Promise.all(probes.map((ask) => ask()))
}
