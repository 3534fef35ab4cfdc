import { Gauge, type Registry } from 'prom-client'
import { METRIC_PREFIX } from './registry.js'

/** The numbers of a connection pool. */
export interface PoolCounts {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly options: { max?: number | undefined }
}

/** Shows pools of PostgreSQL connections; returns how to add one. */
export function createPoolMetrics(registry: Registry): (name: string, pool: PoolCounts) => void {
  const pools = new Map<string, PoolCounts>()
  new Gauge({
    name: `${METRIC_PREFIX}pg_connections`,
    help: 'PostgreSQL connections by pool and state; waiting are callers without one.',
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
    help: 'Most connections that the pool opens.',
    labelNames: ['pool'],
    registers: [registry],
    collect() {
      for (const [pool, { options }] of pools) this.set({ pool }, options.max ?? 10)
    },
  })
  return (name, pool) => pools.set(name, pool)
}
