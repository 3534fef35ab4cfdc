import { every, fullnessOf, type Loop, parseRedisInfo, watchServer } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { Gauge, Histogram, type Registry } from 'prom-client'
import { METRIC_PREFIX } from './registry.js'

export interface ServerWatchDeps {
  registry: Registry
  /** The connections to Redis; in a cluster one for each shard. */
  redis: { readonly connections: readonly { redis: Redis }[] }
  /** Runs a statement that changes nothing. */
  askPostgres: () => Promise<unknown>
  /** Pause between two probes, ms. */
  intervalMs: number
}

const ROUND_TRIP_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
]

/**
 * Measures the round trip to both servers, and reports the settings of Redis that the lines depend
 * on, and how much it keeps over a restart. It probes on a timer instead of when metrics are read,
 * so that metrics can be read while a server is unreachable.
 *
 * @returns a function that stops it
 */
export function watchServers({
  registry,
  redis: { connections },
  askPostgres,
  intervalMs,
}: ServerWatchDeps): () => void {
  const roundTrip = new Histogram({
    name: `${METRIC_PREFIX}round_trip_seconds`,
    help: 'Round trip time to a server, measured with a command that changes nothing.',
    labelNames: ['server'],
    buckets: ROUND_TRIP_SECONDS,
    registers: [registry],
  })
  const reachable = new Gauge({
    name: `${METRIC_PREFIX}server_reachable`,
    help: '1 if the server answered the last probe.',
    labelNames: ['server'],
    registers: [registry],
  })
  const showRedis = createRedisGauges(registry)

  const loops = [
    watch('redis', () => onEach((redis) => redis.ping())),
    watch('postgres', askPostgres),
    every(
      intervalMs,
      async () => showRedis(await onEach((redis) => redis.info())),
      // If Redis cannot be asked, or its user may no longer run INFO, earlier values are outdated.
      { immediately: true, onError: () => showRedis([]) },
    ),
  ]
  return () => {
    for (const loop of loops) void loop.stop()
  }

  async function onEach<T>(ask: (redis: Redis) => Promise<T>): Promise<T[]> {
    if (connections.some(({ redis }) => redis.status !== 'ready')) throw new Error('not connected')
    return Promise.all(connections.map(({ redis }) => ask(redis)))
  }

  function watch(server: string, ask: () => Promise<unknown>): Loop {
    return watchServer({
      ask,
      intervalMs,
      timeoutMs: intervalMs,
      onResult(result) {
        if (result.kind === 'works') roundTrip.observe({ server }, result.tookMs / 1000)
        reachable.set({ server }, result.kind === 'works' ? 1 : 0)
      },
    })
  }
}

/** A metric that comes from `INFO`. */
interface RedisGauge {
  name: string
  help: string
  /** The field of `INFO`. */
  field: string
  /**
   * Which value counts if several servers have shards: the one that needs attention first.
   * `fullest` is that of the server whose memory is the fullest, so that two such metrics can be
   * divided.
   */
  worst: 'min' | 'max' | 'fullest'
  /** How the text of the field becomes a number; by default as `Number` does it. */
  read?: (text: string) => number
}

const REDIS_GAUGES: readonly RedisGauge[] = [
  {
    name: 'redis_append_only',
    help: '1 if all writes go to the append-only file.',
    field: 'aof_enabled',
    worst: 'min',
  },
  {
    name: 'redis_append_ok',
    help: '1 if the last write to the append-only file succeeded.',
    field: 'aof_last_write_status',
    worst: 'min',
    read: (text) => (text === 'ok' ? 1 : 0),
  },
  {
    name: 'redis_noeviction',
    help: '1 if a full Redis refuses writes instead of evicting keys.',
    field: 'maxmemory_policy',
    worst: 'min',
    read: (text) => (text === 'noeviction' ? 1 : 0),
  },
  {
    name: 'redis_evicted_keys',
    help: 'Keys that were evicted since Redis started.',
    field: 'evicted_keys',
    worst: 'max',
  },
  {
    name: 'redis_memory_bytes',
    help: 'Memory that Redis uses.',
    field: 'used_memory',
    worst: 'fullest',
  },
  {
    name: 'redis_memory_max_bytes',
    help: 'Memory that Redis may use; 0 means no limit.',
    field: 'maxmemory',
    worst: 'fullest',
  },
  {
    name: 'redis_connected_clients',
    help: 'Connections to Redis of all clients.',
    field: 'connected_clients',
    worst: 'max',
  },
  {
    name: 'redis_connected_replicas',
    help: 'Replicas of this Redis.',
    field: 'connected_slaves',
    worst: 'min',
  },
]

/** @returns a function that shows the replies to `INFO`; an empty list removes all values */
function createRedisGauges(registry: Registry): (infos: readonly string[]) => void {
  const gauges = REDIS_GAUGES.map(
    ({ name, help }) => new Gauge({ name: `${METRIC_PREFIX}${name}`, help, registers: [registry] }),
  )
  // A new gauge is 0, which would be a wrong value until Redis has answered.
  for (const gauge of gauges) gauge.remove()
  return (infos) => {
    const servers = infos.map(parseRedisInfo).sort(byFullness)
    REDIS_GAUGES.forEach(({ field, worst, read = Number }, i) => {
      const texts = servers.map((fields) => fields.get(field)).filter((text) => text !== undefined)
      const values = texts.map(read)
      const [first] = values
      // A missing value is better than a false alarm.
      if (first === undefined) gauges[i]?.remove()
      else gauges[i]?.set(worst === 'fullest' ? first : Math[worst](...values))
    })
  }
}

/** Orders replies to `INFO` from the fullest server to the emptiest. */
function byFullness(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): number {
  const usedBytes = (info: ReadonlyMap<string, string>) => Number(info.get('used_memory') ?? 0)
  return fullnessOf(b) - fullnessOf(a) || usedBytes(b) - usedBytes(a)
}
