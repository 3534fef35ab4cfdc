import type { Pool } from '@ticket-line/db'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Everything this process counts, and the registry it is read from. */
export interface Metrics {
  registry: Registry
  requests: Histogram<'route' | 'method' | 'status'>
  rateLimited: Counter
  /** Clients that wait for a decision. */
  waiters: Gauge
  /** Commands per job that this process stored. */
  jobSize: Histogram
  /** Commands that stand undecided in the lines this process has lately used, as far as it knows. */
  undecided: Gauge
  /** Shows a pool's connections under that name. */
  watchPool(name: string, pool: Pool): void
}

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const JOB_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]

export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const pools = new Map<string, Pool>()
  new Gauge({
    name: 'ticket_line_pg_connections',
    help: 'PostgreSQL connections by pool and state; waiting are callers without one.',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, { totalCount, idleCount, waitingCount }] of pools) {
        this.set({ pool, state: 'busy' }, totalCount - idleCount)
        this.set({ pool, state: 'idle' }, idleCount)
        this.set({ pool, state: 'waiting' }, waitingCount)
      }
    },
  })
  return {
    registry,
    requests: new Histogram({
      name: 'ticket_line_http_request_duration_seconds',
      help: 'Time from the arrival of a request to its answer, waiting for decisions included.',
      labelNames: ['route', 'method', 'status'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    rateLimited: new Counter({
      name: 'ticket_line_rate_limited_total',
      help: 'Requests refused with 429.',
      registers,
    }),
    waiters: new Gauge({
      name: 'ticket_line_waiters',
      help: 'Clients that wait for a decision.',
      registers,
    }),
    jobSize: new Histogram({
      name: 'ticket_line_job_commands',
      help: 'Commands per stored job.',
      buckets: JOB_SIZES,
      registers,
    }),
    undecided: new Gauge({
      name: 'ticket_line_undecided_commands',
      help: 'Undecided commands in the lines this process lately used, as far as it knows.',
      registers,
    }),
    watchPool(name, pool) {
      pools.set(name, pool)
    },
  }
}
