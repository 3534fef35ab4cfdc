import { every, type Loop, parseRedisInfo, watchServer } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { Gauge, Histogram, type Registry } from 'prom-client'
import { METRIC_PREFIX } from './registry.js'

export interface ServerWatchDeps {
  registry: Registry
  redis: Redis
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
  redis,
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
    watch('redis', () =>
      redis.status === 'ready' ? redis.ping() : Promise.reject(new Error('not connected')),
    ),
    watch('postgres', askPostgres),
    every(
      intervalMs,
      async () => showRedis(redis.status === 'ready' ? await redis.info() : ''),
      // If the Redis user may no longer run INFO, earlier values may be outdated.
      { immediately: true, onError: () => showRedis('') },
    ),
  ]
  return () => {
    for (const loop of loops) void loop.stop()
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

/** Metrics that come from `INFO`: the field, and how its text becomes a number. */
const REDIS_GAUGES: [name: string, help: string, field: string, read: (text: string) => number][] =
  [
    ['redis_append_only', '1 if all writes go to the append-only file.', 'aof_enabled', Number],
    [
      'redis_append_ok',
      '1 if the last write to the append-only file succeeded.',
      'aof_last_write_status',
      (text) => (text === 'ok' ? 1 : 0),
    ],
    [
      'redis_noeviction',
      '1 if a full Redis refuses writes instead of evicting keys.',
      'maxmemory_policy',
      (text) => (text === 'noeviction' ? 1 : 0),
    ],
    ['redis_evicted_keys', 'Keys that were evicted since Redis started.', 'evicted_keys', Number],
    ['redis_memory_bytes', 'Memory that Redis uses.', 'used_memory', Number],
    ['redis_memory_max_bytes', 'Memory that Redis may use; 0 means no limit.', 'maxmemory', Number],
    [
      'redis_connected_clients',
      'Connections to Redis of all clients.',
      'connected_clients',
      Number,
    ],
    ['redis_connected_replicas', 'Replicas of this Redis.', 'connected_slaves', Number],
  ]

function createRedisGauges(registry: Registry): (info: string) => void {
  const gauges = REDIS_GAUGES.map(
    ([name, help]) => new Gauge({ name: `${METRIC_PREFIX}${name}`, help, registers: [registry] }),
  )
  // A new gauge is 0, which would be a wrong value until Redis has answered.
  for (const gauge of gauges) gauge.remove()
  return (info) => {
    const fields = parseRedisInfo(info)
    REDIS_GAUGES.forEach(([, , field, read], i) => {
      const text = fields.get(field)
      // A missing value is better than a false alarm.
      if (text !== undefined) gauges[i]?.set(read(text))
      else gauges[i]?.remove()
    })
  }
}
