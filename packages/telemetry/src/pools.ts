import { Gauge, type Registry } from 'prom-client'
import { METRIC_PREFIX } from './registry.js'

/** The counters of a connection pool of node-postgres. */
export interface PoolCounts {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly options: { max?: number | undefined }
}

/** Creates the metrics of connection pools. @returns a function that adds a pool */
export function createPoolMetrics(registry: Registry): (name: string, pool: PoolCounts) => void {
  const pools = new Map<string, PoolCounts>()
  new Gauge({
    name: `${METRIC_PREFIX}pg_connections`,
    help: 'PostgreSQL connections by pool and state. State waiting counts callers without one.',
    labelNames: ['pool', 'state'],
    registers: [registry],
    collect() {
      for (const [pool, { totalCount, idleCount, waitingCount }] of pools) {
        this.set({ pool, state: 'busy' }, totalCount - idleCount)
        this.set({ pool, state: 'idle' }, idleCount)
        this.set({ pool, state: 'waiting' }, waitingCount)
      }
    },
  })
  new Gauge({
    name: `${METRIC_PREFIX}pg_connections_max`,
    help: 'Maximum number of connections that the pool opens.',
    labelNames: ['pool'],
    registers: [registry],
    collect() {
      for (const [pool, { options }] of pools) this.set({ pool }, options.max ?? 10)
    },
  })
  return (name, pool) => pools.set(name, pool)
}
